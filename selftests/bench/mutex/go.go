// SPDX-License-Identifier: GPL-2.0

// A mutex: nobody else wants it, and eight goroutines want it.

package main

import (
	"sync"
	"time"
)

func measure(name string, rounds, tasks int) {
	var mutex sync.Mutex
	var done sync.WaitGroup
	count := 0
	begin := time.Now()
	done.Add(tasks)
	for i := 0; i < tasks; i++ {
		go func() {
			for i := 0; i < rounds/tasks; i++ {
				mutex.Lock()
				count++
				mutex.Unlock()
			}
			done.Done()
		}()
	}
	done.Wait()
	need(count == rounds/tasks*tasks, "each once")
	report(name, count, time.Since(begin), "")
}

func main() {
	argProcs()
	rounds := argCount(8000000)
	measure("mutex_free", rounds, 1)
	measure("mutex_contended", rounds, 8)
}
