// SPDX-License-Identifier: GPL-2.0

// A round trip through two unbuffered channels: there and back.

package main

import "time"

func main() {
	argProcs()
	rounds := argCount(1000000)
	there, back := make(chan int32), make(chan int32)
	go func() {
		for v := range there {
			back <- -v
		}
	}()
	begin := time.Now()
	for i := 0; i < rounds; i++ {
		there <- int32(i)
		need(<-back == int32(-i), "the answer")
	}
	report("chan_round_trip", rounds, time.Since(begin), "")
}
