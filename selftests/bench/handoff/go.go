// SPDX-License-Identifier: GPL-2.0

// Hand-off: from a goroutine's blocking system call until another goroutine runs with its P,
// and back, as in gsched.c. The number of CPUs is that of the process's affinity.

package main

import (
	"fmt"
	"runtime"
	"sort"
	"syscall"
	"time"
)

const rounds = 1000

var (
	pipe           [2]int
	wake           = make(chan struct{})
	blocked, runs  time.Time
	handoffs, back []time.Duration
)

func b() {
	c := make([]byte, 1)
	for range wake {
		handoffs = append(handoffs, time.Since(blocked))
		runs = time.Now()
		n, err := syscall.Write(pipe[1], c)
		need(n == 1 && err == nil, "a pipe to write")
	}
}

func round() {
	c := make([]byte, 1)
	wake <- struct{}{} // b waits for it, and runs next: when we block
	blocked = time.Now()
	n, err := syscall.Read(pipe[0], c)
	need(n == 1 && err == nil, "a pipe to read")
	back = append(back, time.Since(runs))
	for begin := time.Now(); time.Since(begin) < 50*time.Microsecond; {
	}
}

func quantile(t []time.Duration, q float64) time.Duration {
	sort.Slice(t, func(i, j int) bool { return t[i] < t[j] })
	return t[int(float64(len(t)-1)*q)]
}

func main() {
	cpus := argProcs()
	n := argCount(rounds)
	runtime.GOMAXPROCS(1)
	need(syscall.Pipe(pipe[:]) == nil, "a pipe")
	go b()
	runtime.Gosched()
	for i := 0; i < n; i++ {
		round()
	}
	need(len(handoffs) == n && len(back) == n, "all rounds")
	fmt.Printf("bench=handoff impl=%s procs=%d ops=%d ns_per_op=%d p99=%d back=%d\n", impl(),
		cpus, n, quantile(handoffs, 0.5), quantile(handoffs, 0.99), quantile(back, 0.5))
}
