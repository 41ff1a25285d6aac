// SPDX-License-Identifier: GPL-2.0

// A channel with a buffer of 128: from one goroutine to one, and from eight to eight.

package main

import (
	"sync"
	"sync/atomic"
	"time"
)

func measure(name string, messages, ends int) {
	var senders, receivers sync.WaitGroup
	var sum, received int64
	begin := time.Now()
	each := int64(messages / ends)
	ch := make(chan int64, 128)
	senders.Add(ends)
	receivers.Add(ends)
	for i := 0; i < ends; i++ {
		go func() {
			for i := int64(0); i < each; i++ {
				ch <- i
			}
			senders.Done()
		}()
		go func() {
			var mine, n int64
			for v := range ch {
				mine += v
				n++
			}
			atomic.AddInt64(&sum, mine)
			atomic.AddInt64(&received, n)
			receivers.Done()
		}()
	}
	senders.Wait()
	close(ch)
	receivers.Wait()
	need(received == each*int64(ends) && sum == int64(ends)*(each*(each-1)/2), "each message once")
	report(name, int(received), time.Since(begin), "")
}

func main() {
	argProcs()
	messages := argCount(4000000)
	measure("buffered_1to1", messages, 1)
	measure("buffered_8to8", messages, 8)
}
