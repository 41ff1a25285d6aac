// SPDX-License-Identifier: GPL-2.0

// A goroutine that sleeps beside others that compute; see sleeper.h. Here it is one of them
// that looks at the clock, late itself.

package main

import (
	"fmt"
	"runtime"
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

const (
	hogs   = 2
	pairs  = 3
	window = 150 * time.Millisecond
)

var (
	stopping, sleeping int32
	units              [hogs]struct {
		n int64
		_ [56]byte
	}
	mutex sync.Mutex
	late  []time.Duration
)

func hog(n *int64) {
	for atomic.LoadInt32(&stopping) == 0 {
		workUnit()
		atomic.AddInt64(n, 1)
	}
}

func sleeper() {
	for atomic.LoadInt32(&sleeping) != 0 {
		when := time.Now().Add(time.Millisecond)
		time.Sleep(time.Millisecond)
		if atomic.LoadInt32(&sleeping) != 0 {
			mutex.Lock()
			late = append(late, time.Since(when))
			mutex.Unlock()
		}
	}
}

func rate() float64 {
	begin, done := time.Now(), int64(0)
	for i := range units {
		done -= atomic.LoadInt64(&units[i].n)
	}
	time.Sleep(window)
	for i := range units {
		done += atomic.LoadInt64(&units[i].n)
	}
	return float64(done) / float64(time.Since(begin))
}

func lateness(q float64) time.Duration {
	return late[int(float64(len(late)-1)*q)]
}

func main() {
	argProcs()
	var wg sync.WaitGroup
	wg.Add(hogs)
	for i := range units {
		n := &units[i].n
		go func() {
			hog(n)
			wg.Done()
		}()
	}
	var ratios []float64
	time.Sleep(50 * time.Millisecond)
	for i := 0; i < pairs; i++ {
		alone := rate()
		atomic.StoreInt32(&sleeping, 1)
		go sleeper()
		ratios = append(ratios, rate()/alone)
		atomic.StoreInt32(&sleeping, 0)
		time.Sleep(20 * time.Millisecond)
	}
	atomic.StoreInt32(&stopping, 1)
	wg.Wait()
	mutex.Lock()
	need(len(late) > 0, "a sleeper that wakes")
	sort.Float64s(ratios)
	sort.Slice(late, func(i, j int) bool { return late[i] < late[j] })
	fmt.Printf("bench=sleeper impl=%s procs=%d ops=%d ns_per_op=%d late_p99=%d late_max=%d kept=%.3f\n",
		impl(), runtime.GOMAXPROCS(0), len(late), lateness(0.5), lateness(0.99),
		lateness(1), ratios[(pairs-1)/2])
}
