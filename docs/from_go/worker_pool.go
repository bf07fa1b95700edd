// A worker pool: three workers share the jobs; the results
// are closed when the last of them is done.
package main

import (
	"fmt"
	"sync"
)

type result struct{ job, value int }

func work(jobs <-chan int, results chan<- result, wg *sync.WaitGroup) {
	defer wg.Done()
	for job := range jobs {
		results <- result{job, job * job}
	}
}

func main() {
	jobs := make(chan int, 10)
	results := make(chan result, 10)
	var wg sync.WaitGroup
	for i := 0; i < 3; i++ {
		wg.Add(1)
		go work(jobs, results, &wg)
	}
	go func() {
		wg.Wait()
		close(results)
	}()
	go func() {
		for job := 0; job < 100; job++ {
			jobs <- job
		}
		close(jobs)
	}()
	sum := 0
	for r := range results {
		sum += r.value
	}
	fmt.Println("sum", sum)
}
