// Timeouts: for one message, for the whole conversation, and
// a goroutine that is asked to stop and cleans up first.
package main

import (
	"fmt"
	"time"
)

func talk(quit <-chan string, done chan<- string) <-chan int {
	out := make(chan int)
	go func() {
		for i := 0; ; i++ {
			if i == 3 {
				time.Sleep(750 * time.Millisecond) // too slow
			}
			select {
			case out <- i:
			case reason := <-quit:
				done <- "cleaned up: " + reason
				return
			}
		}
	}()
	return out
}

func main() {
	quit, done := make(chan string), make(chan string)
	numbers := talk(quit, done)
	whole := time.After(10 * time.Second)
	for talking := true; talking; {
		select {
		case i := <-numbers:
			fmt.Println("heard", i)
		case <-time.After(250 * time.Millisecond):
			fmt.Println("too slow")
			talking = false
		case <-whole:
			fmt.Println("too long")
			talking = false
		}
	}
	quit <- "bye"
	fmt.Println(<-done)
}
