// A WaitGroup, and a Mutex around what all of them touch and
// pause in between.
package main

import (
	"fmt"
	"runtime"
	"sync"
)

func main() {
	var wg sync.WaitGroup
	var mu sync.Mutex
	balance := 0
	for i := 1; i <= 100; i++ {
		wg.Add(1)
		go func(amount int) {
			defer wg.Done()
			mu.Lock()
			defer mu.Unlock()
			read := balance
			runtime.Gosched() // without the lock, another would read the same
			balance = read + amount
		}(i)
	}
	wg.Wait()
	fmt.Println(balance)
}
