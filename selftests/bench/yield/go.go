// SPDX-License-Identifier: GPL-2.0

// Yields: from the places that yield.h says.

package main

import (
	"runtime"
	"sync"
	"time"
)

func onePlace(yields int) {
	for i := 0; i < yields; i++ {
		runtime.Gosched()
	}
}

//go:noinline
func thirdCall() {
	runtime.Gosched()
}

//go:noinline
func secondCall() {
	thirdCall()
	runtime.Gosched()
}

//go:noinline
func firstCall() {
	secondCall()
	runtime.Gosched()
}

func fourPlaces(yields int) {
	i := 0
	for ; i+4 <= yields; i += 4 {
		firstCall()
		runtime.Gosched()
	}
	onePlace(yields - i)
}

func measure(bench string, tasks int, run func(int), yields int) {
	var running sync.WaitGroup
	begin := time.Now()
	running.Add(tasks)
	for i := 0; i < tasks; i++ {
		go func(i int) {
			mine, first := yields/tasks, i%4
			if first > mine {
				first = mine
			}
			onePlace(first)
			run(mine - first)
			running.Done()
		}(i)
	}
	running.Wait()
	report(bench, yields, time.Since(begin), "")
}

func main() {
	argProcs()
	yields := argCount(5000000)
	measure("yield_2", 2, onePlace, yields)
	measure("yield_2_places", 2, fourPlaces, yields)
	measure("yield_1000", 1000, onePlace, yields)
	measure("yield_1000_places", 1000, fourPlaces, yields)
}
