// The Go contestant of benchmarks/run.py.
//
// Reads one request a line, "WORK COUNT RUNS", and answers with the nanoseconds that RUNS runs of
// COUNT units took, or with a line that starts with "error:". The one request "park COUNT" answers
// with a line of JSON, see park.go. Each function does what its namesake in the workloads_*.py
// files does: the same number of messages, of ints, between the same number of routines.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

const (
	producers = 10 // of many_to_one
	workers   = 5  // of fan_out_fan_in
	spinners  = 10 // of yielding
	buffered  = 64 // values a bounded channel holds
)

var workloads = map[string]func(count int){
	"unbuffered":     func(count int) { pipe(make(chan int), count) },
	"capacity64":     func(count int) { pipe(make(chan int, buffered), count) },
	"batches64":      func(count int) { pipe(make(chan int, buffered), count) }, // Go has no batches
	"ping_pong":      pingPong,
	"many_to_one":    manyToOne,
	"fan_out_fan_in": fanOutFanIn,
	"spawn":          spawn,
	"yielding":       yielding,
}

// pipe sends count ints from one goroutine to another.
func pipe(ch chan int, count int) {
	var both sync.WaitGroup
	both.Add(2)
	go func() {
		defer both.Done()
		for i := 0; i < count; i++ {
			ch <- i
		}
	}()
	last := -1
	go func() {
		defer both.Done()
		for i := 0; i < count; i++ {
			last = <-ch
		}
	}()
	both.Wait()
	expect("last value", last, count-1)
}

// pingPong makes count round trips between two goroutines over two unbuffered channels.
func pingPong(count int) {
	ping, pong := make(chan int), make(chan int)
	var both sync.WaitGroup
	both.Add(2)
	go func() {
		defer both.Done()
		for i := 0; i < count; i++ {
			pong <- <-ping
		}
	}()
	last := -1
	go func() {
		defer both.Done()
		for i := 0; i < count; i++ {
			ping <- i
			last = <-pong
		}
	}()
	both.Wait()
	expect("last value", last, count-1)
}

// manyToOne sends count ints in all from ten producers to one consumer, unbuffered.
func manyToOne(count int) {
	ch := make(chan int)
	var sending, receiving sync.WaitGroup
	sending.Add(producers)
	for p := 0; p < producers; p++ {
		go func() {
			defer sending.Done()
			for i := 0; i < count/producers; i++ {
				ch <- i
			}
		}()
	}
	received := 0
	receiving.Add(1)
	go func() {
		defer receiving.Done()
		for range ch {
			received++
		}
	}()
	sending.Wait()
	close(ch)
	receiving.Wait()
	expect("values received", received, count/producers*producers)
}

// fanOutFanIn passes count ints from a producer through five workers to a collector, unbuffered.
func fanOutFanIn(count int) {
	jobs, results := make(chan int), make(chan int)
	var working, collecting sync.WaitGroup
	go func() {
		for i := 0; i < count; i++ {
			jobs <- i
		}
		close(jobs)
	}()
	working.Add(workers)
	for w := 0; w < workers; w++ {
		go func() {
			defer working.Done()
			for job := range jobs {
				results <- job + 1
			}
		}()
	}
	received := 0
	collecting.Add(1)
	go func() {
		defer collecting.Done()
		for range results {
			received++
		}
	}()
	working.Wait()
	close(results)
	collecting.Wait()
	expect("results", received, count)
}

// spawn starts count goroutines that end at once, and waits for all of them.
func spawn(count int) {
	var all sync.WaitGroup
	all.Add(count)
	for i := 0; i < count; i++ {
		go func() { all.Done() }()
	}
	all.Wait()
}

// yielding makes count switches among ten goroutines.
func yielding(count int) {
	var all sync.WaitGroup
	all.Add(spinners)
	for s := 0; s < spinners; s++ {
		go func() {
			defer all.Done()
			for i := 0; i < count/spinners; i++ {
				runtime.Gosched()
			}
		}()
	}
	all.Wait()
}

// expect panics when a run did not do its work.
func expect(what string, got, want int) {
	if got != want {
		panic(fmt.Sprintf("%s: got %d, want %d", what, got, want))
	}
}

// measure answers one request.
func measure(work string, count, runs int) string {
	run, known := workloads[work]
	runTimed, knownTimed := timed[work]
	if !known && !knownTimed {
		return "error: no workload " + work
	}
	runtime.GC()
	if knownTimed {
		var took int64
		for i := 0; i < runs; i++ {
			took += runTimed(count)
		}
		return fmt.Sprint(took)
	}
	start := time.Now()
	for i := 0; i < runs; i++ {
		run(count)
	}
	return fmt.Sprint(time.Since(start).Nanoseconds())
}

func main() {
	if os.Getenv("BENCHMARK_GC") == "off" {
		debug.SetGCPercent(-1)
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var work string
		var count, runs int
		switch fields, _ := fmt.Sscan(lines.Text(), &work, &count, &runs); {
		case work == "park" && fields == 2:
			fmt.Println(park(count))
		case fields == 3:
			fmt.Println(measure(work, count, runs))
		default:
			fmt.Println("error: not a request: " + lines.Text())
		}
	}
}
