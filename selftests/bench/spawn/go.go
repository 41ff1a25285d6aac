// SPDX-License-Identifier: GPL-2.0

// Starting goroutines and waiting for their end; as gsched.c.

package main

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	many     = 100
	crowdLen = 10000
)

var ended int64

func spawn(name string, ops, atATime int) {
	var running sync.WaitGroup
	begin := time.Now()
	ended = 0
	for i := 0; i < ops; i += atATime {
		running.Add(atATime)
		for n := 0; n < atATime; n++ {
			go func() {
				atomic.AddInt64(&ended, 1)
				running.Done()
			}()
		}
		running.Wait()
	}
	need(ended >= int64(ops), "all of them")
	report(name, int(ended), time.Since(begin), "")
}

func crowd(name string) {
	var running sync.WaitGroup
	begin := time.Now()
	gate := make(chan struct{})
	ended = 0
	running.Add(crowdLen)
	for i := 0; i < crowdLen; i++ {
		go func() {
			<-gate
			atomic.AddInt64(&ended, 1)
			running.Done()
		}()
	}
	close(gate)
	running.Wait()
	need(ended == crowdLen, "all of them")
	report(name, crowdLen, time.Since(begin), "")
}

func main() {
	argProcs()
	ops := argCount(1000000)
	spawn("spawn_one", ops, 1)
	spawn("spawn_many", ops, many)
	crowd("spawn_crowd_new")
	crowd("spawn_crowd_again")
}
