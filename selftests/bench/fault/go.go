// SPDX-License-Identifier: GPL-2.0

// Page faults of goroutines; see fault.h.

package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	disk      = "/dev/slow"
	pageBytes = 4096
	readers   = 16
	chunk     = 16 // units of work between two yields
	alone     = 300 * time.Millisecond
	beside    = 1000 * time.Millisecond

	skip            = 4
	fadviseDontneed = 4
)

var (
	memory           []byte
	pages            int64
	nextPage, faults int64
	work             int64
	stopping         int32
	yields           bool
)

func mapDisk() {
	f, err := os.Open(disk)
	if err != nil {
		os.Exit(skip)
	}
	size, err := f.Seek(0, io.SeekEnd)
	need(err == nil, "a size")
	memory, err = syscall.Mmap(int(f.Fd()), 0, int(size), syscall.PROT_READ, syscall.MAP_SHARED)
	need(err == nil && syscall.Madvise(memory, syscall.MADV_RANDOM) == nil, "a mapping")
	_, _, errno := syscall.Syscall6(syscall.SYS_FADVISE64, f.Fd(), 0, 0, fadviseDontneed, 0, 0)
	need(errno == 0, "cold pages")
	pages = size / pageBytes
}

func reader() {
	var sum byte
	for atomic.LoadInt32(&stopping) == 0 {
		i := atomic.AddInt64(&nextPage, 1) - 1
		need(i < pages, "a larger disk")
		sum += memory[i*40503%pages*pageBytes]
		atomic.AddInt64(&faults, 1)
	}
	need(sum == 0, "a disk of zeros") // or nobody would have to read it
}

func computer() {
	for atomic.LoadInt32(&stopping) == 0 {
		for i := 0; i < chunk; i++ {
			workUnit()
		}
		work += chunk
		if yields {
			runtime.Gosched()
		}
	}
}

func runFor(readers int, d time.Duration) time.Duration {
	var running sync.WaitGroup
	start := func(f func()) {
		running.Add(1)
		go func() {
			f()
			running.Done()
		}()
	}
	begin := time.Now()
	work, faults = 0, 0
	atomic.StoreInt32(&stopping, 0)
	start(computer)
	for i := 0; i < readers; i++ {
		start(reader)
	}
	time.Sleep(d)
	atomic.StoreInt32(&stopping, 1)
	running.Wait()
	return time.Since(begin)
}

func measure(bench string) {
	took := runFor(0, alone)
	rate := float64(work) / float64(took)
	took = runFor(readers, beside)
	need(faults > 0, "faults")
	report(bench, int(faults), took, fmt.Sprintf("compute=%.3f readers=%d",
		float64(work)/float64(took)/rate, readers))
}

func main() {
	argProcs()
	mapDisk()
	yields = true
	measure("fault")
	yields = false
	measure("fault_hog")
}
