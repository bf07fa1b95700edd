package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// park parks count goroutines on one channel, then wakes each with a value and waits for its end.
// It answers with JSON: the growth of the resident set per parked goroutine, in bytes, how many
// came to their end, and how long parking and ending took, in seconds.
func park(count int) string {
	ch, last := make(chan int), make(chan struct{})
	var parking, ended atomic.Int64
	runtime.GC()
	before := residentBytes()
	start := time.Now()
	for i := 0; i < count; i++ {
		go func() {
			parking.Add(1)
			<-ch
			if ended.Add(1) == int64(count) {
				close(last)
			}
		}()
	}
	for parking.Load() < int64(count) {
		runtime.Gosched()
	}
	parked := time.Since(start)
	grown := residentBytes() - before
	start = time.Now()
	for i := 0; i < count; i++ {
		ch <- i
	}
	<-last
	return fmt.Sprintf(`{"bytes": %f, "ended": %d, "park_seconds": %f, "end_seconds": %f}`,
		float64(grown)/float64(count), ended.Load(), parked.Seconds(), time.Since(start).Seconds())
}

// residentBytes reads the resident set of this process; 0 where there is no /proc.
func residentBytes() int64 {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	pages, _ := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	return pages * int64(os.Getpagesize())
}
