// Ten thousand goroutines in a row, each of which adds one to
// what its neighbour says.
package main

import "fmt"

func whisper(left chan<- int, right <-chan int) {
	left <- 1 + <-right
}

func main() {
	leftmost := make(chan int)
	left := leftmost
	for i := 0; i < 10000; i++ {
		right := make(chan int)
		go whisper(left, right)
		left = right
	}
	left <- 1
	fmt.Println(<-leftmost)
}
