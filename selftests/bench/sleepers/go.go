// SPDX-License-Identifier: GPL-2.0

// A hundred thousand goroutines that sleep, as gsched.c.

package main

import (
	"sync"
	"sync/atomic"
	"time"
)

const sleeps = 3

func main() {
	argProcs()
	tasks := argCount(100000)
	var there, running sync.WaitGroup
	var slept int64
	there.Add(tasks)
	running.Add(tasks)
	for i := 0; i < tasks; i++ {
		go func(i int) {
			d := 100*time.Millisecond + time.Duration(i*7919%tasks*3)*time.Microsecond
			begin := time.Now()
			there.Done()
			for i := 0; i < sleeps; i++ {
				time.Sleep(d)
			}
			if time.Since(begin) >= sleeps*d {
				atomic.AddInt64(&slept, sleeps)
			}
			running.Done()
		}(i)
	}
	there.Wait()
	begin := cpuTime()
	running.Wait()
	need(slept == int64(sleeps*tasks), "that all have slept")
	report("sleepers", int(slept), cpuTime()-begin, "")
}
