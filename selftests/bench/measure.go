// SPDX-License-Identifier: GPL-2.0

// What the benchmarks in Go share. See measure.h for the command line.

package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func need(cond bool, what string) {
	if !cond {
		fmt.Fprintln(os.Stderr, "needs", what)
		os.Exit(1)
	}
}

// impl tells the Go of Debian 12 from newer ones.
func impl() string {
	if strings.HasPrefix(runtime.Version(), "go1.19") {
		return "go119"
	}
	return "go"
}

// argProcs makes Go use as many Ps as the command line says.
func argProcs() int {
	procs := 1
	if len(os.Args) > 1 {
		n, err := strconv.Atoi(os.Args[1])
		need(err == nil && n > 0, "a number of Ps")
		procs = n
	}
	runtime.GOMAXPROCS(procs)
	return procs
}

// argCount returns n times the factor of the command line.
func argCount(n int) int {
	if len(os.Args) > 2 {
		factor, err := strconv.ParseFloat(os.Args[2], 64)
		need(err == nil, "a factor")
		n = int(float64(n) * factor)
	}
	need(n >= 1, "a larger factor")
	return n
}

func report(bench string, ops int, ns time.Duration, more string) {
	fmt.Println(strings.TrimSpace(fmt.Sprintf(
		"bench=%s impl=%s procs=%d ops=%d ns_per_op=%.1f %s", bench, impl(),
		runtime.GOMAXPROCS(0), ops, float64(ns)/float64(ops), more)))
}

var workResult uint32

// workUnit is some work, that of measure.h's work_unit.
func workUnit() {
	r := uint32(1)
	for i := 0; i < 1000; i++ {
		r = r*1664525 + 1013904223
	}
	if r == 0 {
		workResult = r
	}
}

// cpuTime returns the time that the process has had on CPUs.
func cpuTime() time.Duration {
	var usage syscall.Rusage
	need(syscall.Getrusage(syscall.RUSAGE_SELF, &usage) == nil, "getrusage")
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// resident returns the bytes that are resident, page tables included.
func resident() int {
	sum, found := 0, 0
	status, err := os.ReadFile("/proc/self/status")
	need(err == nil, "/proc/self/status")
	for _, line := range strings.Split(string(status), "\n") {
		f := strings.Fields(line)
		if len(f) == 3 && (f[0] == "VmRSS:" || f[0] == "VmPTE:") {
			kb, _ := strconv.Atoi(f[1])
			sum += kb
			found++
		}
	}
	need(found == 2, "VmRSS and VmPTE")
	return sum * 1024
}
