// SPDX-License-Identifier: GPL-2.0

// Computing and talking, as gsched.c.

package main

import (
	"sync"
	"time"
)

const pairs = 16

func answer(there, back chan int, done func()) {
	for v := range there {
		workUnit()
		back <- -v
	}
	done()
}

func ask(there, back chan int, each int, done func()) {
	for i := 0; i < each; i++ {
		workUnit()
		there <- i
		need(<-back == -i, "the answer")
	}
	close(there)
	done()
}

func main() {
	argProcs()
	var running sync.WaitGroup
	begin := time.Now()
	each := argCount(200000) / pairs
	running.Add(2 * pairs)
	for i := 0; i < pairs; i++ {
		there, back := make(chan int), make(chan int)
		go ask(there, back, each, running.Done)
		go answer(there, back, running.Done)
	}
	running.Wait()
	report("scaling", each*pairs, time.Since(begin), "")
}
