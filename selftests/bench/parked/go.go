// SPDX-License-Identifier: GPL-2.0

// Goroutines that wait, as gsched.c.

package main

import (
	"fmt"
	"sync"
	"time"
)

var gate = make(chan int)

func parkMore(name string, before, tasks, bytesBefore int) {
	var arrived sync.WaitGroup
	begin := time.Now()
	arrived.Add(tasks - before)
	for i := before; i < tasks; i++ {
		go func() {
			arrived.Done()
			<-gate
		}()
	}
	arrived.Wait()
	report(name, tasks-before, time.Since(begin),
		fmt.Sprintf("bytes=%d", (resident()-bytesBefore)/tasks))
}

func main() {
	argProcs()
	few, before := argCount(100000), resident()
	parkMore("parked_100000", 0, few, before)
	parkMore("parked_1000000", few, 10*few, before)
}
