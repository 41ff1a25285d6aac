// SPDX-License-Identifier: GPL-2.0

// Work beside a goroutine that blocks; see block.h.
//
// The partner that writes the pipe and serves the faults is a process: a thread of this
// one would need the P that a fault keeps.

package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sort"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

const (
	workers   = 4
	chunk     = 16
	pairs     = 4
	window    = 100 * time.Millisecond
	pages     = 1024
	pageBytes = 4096

	sysUserfaultfd = 323
	uffdAPI        = 0xaa
	uffdioAPI      = 0xc018aa3f
	uffdioRegister = 0xc020aa00
	uffdioZeropage = 0xc020aa04
	missing        = 1
	addressAt      = 16 // in a message of uffdMsgBytes
	uffdMsgBytes   = 32
)

// What the partner inherits.
const (
	partnerUffd = 3 + iota
	partnerAsk
	partnerAnswer
)

const (
	rest = iota
	sleep
	pipe
	fault
	end
)

var (
	kindNow int32
	units   [workers]struct {
		n int64
		_ [56]byte
	}
	blocks      int64
	ask, answer int // the ends of pipes that are ours
	region      []byte
	page        int
)

func ioctl(fd int, request uintptr, arg unsafe.Pointer) {
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), request, uintptr(arg))
	need(errno == 0, "ioctl")
}

// In a system call that is not the runtime's own way to sleep.
func nap() {
	ts := syscall.NsecToTimespec(int64(time.Millisecond))
	for syscall.Nanosleep(&ts, &ts) == syscall.EINTR {
	}
}

func servePipe() {
	c := make([]byte, 1)
	for {
		n, err := syscall.Read(partnerAsk, c)
		need(err == nil, "a question")
		if n == 0 {
			os.Exit(0)
		}
		nap()
		_, err = syscall.Write(partnerAnswer, c)
		need(err == nil, "an answer")
	}
}

func serveFaults() {
	msg := make([]byte, uffdMsgBytes)
	for {
		_, err := syscall.Read(partnerUffd, msg)
		need(err == nil, "a fault")
		nap()
		address := *(*uint64)(unsafe.Pointer(&msg[addressAt]))
		zero := [4]uint64{address &^ (pageBytes - 1), pageBytes, 0, 0}
		ioctl(partnerUffd, uffdioZeropage, unsafe.Pointer(&zero))
	}
}

func regionMake() int {
	fd, _, errno := syscall.Syscall(sysUserfaultfd, syscall.O_CLOEXEC, 0, 0)
	need(errno == 0, "userfaultfd")
	var err error
	region, err = syscall.Mmap(-1, 0, pages*pageBytes, syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_PRIVATE|syscall.MAP_ANONYMOUS)
	need(err == nil, "mmap")
	api := [3]uint64{uffdAPI, 0, 0}
	reg := [4]uint64{uint64(uintptr(unsafe.Pointer(&region[0]))), pages * pageBytes, missing, 0}
	ioctl(int(fd), uffdioAPI, unsafe.Pointer(&api))
	ioctl(int(fd), uffdioRegister, unsafe.Pointer(&reg))
	return int(fd)
}

// It ends when we do: its end of the pipe says so.
func partnerStart() {
	var a, b [2]int
	need(syscall.Pipe2(a[:], syscall.O_CLOEXEC) == nil, "pipes")
	need(syscall.Pipe2(b[:], syscall.O_CLOEXEC) == nil, "pipes")
	ask, answer = a[1], b[0]
	partner := exec.Command("/proc/self/exe", "partner")
	partner.Stderr = os.Stderr
	partner.ExtraFiles = []*os.File{
		os.NewFile(uintptr(regionMake()), "userfaultfd"),
		os.NewFile(uintptr(a[0]), "ask"),
		os.NewFile(uintptr(b[1]), "answer"),
	}
	need(partner.Start() == nil, "a partner")
}

func waitForPipe() {
	c := make([]byte, 1)
	_, err := syscall.Write(ask, c)
	need(err == nil, "the partner")
	_, err = syscall.Read(answer, c)
	need(err == nil, "an answer")
}

var touched byte

func touch() {
	if page == pages {
		need(syscall.Madvise(region, syscall.MADV_DONTNEED) == nil, "madvise")
		page = 0
	}
	touched += region[page*pageBytes]
	page++
}

func worker(n *int64) {
	for atomic.LoadInt32(&kindNow) != end {
		for i := 0; i < chunk; i++ {
			workUnit()
		}
		atomic.AddInt64(n, chunk)
		runtime.Gosched()
	}
}

func block() bool {
	switch atomic.LoadInt32(&kindNow) {
	case sleep:
		nap()
	case pipe:
		waitForPipe()
	case fault:
		touch()
	case rest:
		time.Sleep(10 * time.Millisecond)
		return true
	default:
		return false
	}
	atomic.AddInt64(&blocks, 1)
	return true
}

func blocker() {
	for block() {
		runtime.Gosched()
	}
}

func sum() (n int64) {
	for i := range units {
		n += atomic.LoadInt64(&units[i].n)
	}
	return n
}

type work struct {
	units int64
	time  time.Duration
}

// Units of work in a nanosecond. They are added to w.
func rate(kind int32, w *work) float64 {
	atomic.StoreInt32(&kindNow, kind)
	time.Sleep(20 * time.Millisecond)
	before, begin := sum(), time.Now()
	time.Sleep(window)
	done, took := sum()-before, time.Since(begin)
	w.units += done
	w.time += took
	return float64(done) / float64(took)
}

func compare(name string, kind int32) {
	var alone, with work
	var ratios []float64
	before := atomic.LoadInt64(&blocks)
	for i := 0; i < pairs; i++ {
		r := rate(rest, &alone)
		ratios = append(ratios, rate(kind, &with)/r)
	}
	n := atomic.LoadInt64(&blocks) - before
	need(n > 0 && with.units > 0, "blocks and work")
	sort.Float64s(ratios)
	report(name, int(with.units), with.time, fmt.Sprintf("kept=%.3f kept_least=%.3f blocks=%d",
		ratios[(pairs-1)/2], ratios[0], n))
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "partner" {
		go serveFaults()
		servePipe()
	}
	argProcs()
	partnerStart()
	var wg sync.WaitGroup
	wg.Add(workers + 1)
	for i := range units {
		n := &units[i].n
		go func() {
			worker(n)
			wg.Done()
		}()
	}
	go func() {
		blocker()
		wg.Done()
	}()
	compare("block_sleep", sleep)
	compare("block_pipe", pipe)
	compare("block_fault", fault)
	atomic.StoreInt32(&kindNow, end)
	wg.Wait()
}
