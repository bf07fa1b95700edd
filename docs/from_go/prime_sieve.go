// The prime sieve: a chain of goroutines, each of which
// filters the multiples of one prime.
package main

import "fmt"

func generate(out chan<- int) {
	for i := 2; ; i++ {
		out <- i
	}
}

func filter(in <-chan int, out chan<- int, prime int) {
	for {
		if i := <-in; i%prime != 0 {
			out <- i
		}
	}
}

func main() {
	numbers := make(chan int)
	go generate(numbers)
	for i := 0; i < 25; i++ {
		prime := <-numbers
		fmt.Println(prime)
		filtered := make(chan int)
		go filter(numbers, filtered, prime)
		numbers = filtered
	}
}
