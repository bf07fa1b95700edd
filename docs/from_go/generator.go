// A generator: a function that returns a channel, and fills
// it from a goroutine of its own.
package main

import "fmt"

func fibonacci() <-chan int {
	numbers := make(chan int)
	go func() {
		a, b := 0, 1
		for {
			numbers <- a
			a, b = b, a+b
		}
	}()
	return numbers
}

func main() {
	numbers := fibonacci()
	for i := 0; i < 10; i++ {
		fmt.Println(<-numbers)
	}
}
