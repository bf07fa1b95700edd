// A pipeline that is called off: closing done tells every
// stage that nobody wants the rest.
package main

import (
	"fmt"
	"sync"
)

func count(done <-chan struct{}) <-chan int {
	out := make(chan int)
	go func() {
		defer close(out)
		for i := 1; ; i++ {
			select {
			case out <- i:
			case <-done:
				return
			}
		}
	}()
	return out
}

func square(done <-chan struct{}, in <-chan int) <-chan int {
	out := make(chan int)
	go func() {
		defer close(out)
		for i := range in {
			select {
			case out <- i * i:
			case <-done:
				return
			}
		}
	}()
	return out
}

func merge(done <-chan struct{}, ins ...<-chan int) <-chan int {
	var wg sync.WaitGroup
	out := make(chan int)
	for _, in := range ins {
		wg.Add(1)
		go func(in <-chan int) {
			defer wg.Done()
			for i := range in {
				select {
				case out <- i:
				case <-done:
					return
				}
			}
		}(in)
	}
	go func() {
		wg.Wait()
		close(out)
	}()
	return out
}

func main() {
	done := make(chan struct{})
	numbers := count(done)
	squares := merge(done, square(done, numbers), square(done, numbers))
	seen := map[int]bool{}
	for len(seen) < 100 {
		seen[<-squares] = true
	}
	close(done)
	for range squares {
		// Ends when every stage has closed its channel.
	}
	fmt.Println(len(seen), "squares, then every stage has ended")
}
