// SPDX-License-Identifier: GPL-2.0

// Skynet, as gsched.c.

package main

import "time"

func sumOfTen(number, leaves int) (sum int) {
	results := make(chan int)
	for i := 0; i < 10; i++ {
		go skynet(results, number+i*leaves, leaves)
	}
	for i := 0; i < 10; i++ {
		sum += <-results
	}
	return
}

func skynet(parent chan int, number, leaves int) {
	if leaves == 1 {
		parent <- number
		return
	}
	parent <- sumOfTen(number, leaves/10)
}

func main() {
	argProcs()
	leaves := argCount(1000000)
	begin := time.Now()
	sum := sumOfTen(0, leaves/10)
	need(sum == leaves*(leaves-1)/2, "the sum")
	report("skynet", leaves, time.Since(begin), "")
}
