// SPDX-License-Identifier: GPL-2.0

// Receiving by select from 2 and from 8 unbuffered channels, each with a sender.

package main

import "time"

func select2(c []chan int) (v int) {
	select {
	case v = <-c[0]:
	case v = <-c[1]:
	}
	return
}

func select8(c []chan int) (v int) {
	select {
	case v = <-c[0]:
	case v = <-c[1]:
	case v = <-c[2]:
	case v = <-c[3]:
	case v = <-c[4]:
	case v = <-c[5]:
	case v = <-c[6]:
	case v = <-c[7]:
	}
	return
}

func measure(name string, messages, n int, recv func([]chan int) int) {
	each := messages / n
	chans := make([]chan int, n)
	for i := range chans {
		chans[i] = make(chan int)
		go func(c chan int) {
			for i := 0; i < each; i++ {
				c <- i
			}
		}(chans[i])
	}
	sum := 0
	begin := time.Now()
	for i := 0; i < each*n; i++ {
		sum += recv(chans)
	}
	need(sum == n*(each*(each-1)/2), "each message once")
	report(name, each*n, time.Since(begin), "")
}

func main() {
	argProcs()
	messages := argCount(1000000)
	measure("select_2", messages, 2, select2)
	measure("select_8", messages, 8, select8)
}
