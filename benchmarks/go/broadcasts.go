package main

import "sync"

const subscribers = 100

func init() {
	workloads["broadcast_100"] = broadcast100
}

// broadcast100 makes count deliveries to a hundred goroutines with a channel each, which is Go's broadcast.
func broadcast100(count int) {
	var all sync.WaitGroup
	channels := make([]chan int, subscribers)
	lasts := make([]int, subscribers)
	for s := range channels {
		channels[s] = make(chan int, buffered)
		all.Add(1)
		go func(s int) {
			defer all.Done()
			for value := range channels[s] {
				lasts[s] = value
			}
		}(s)
	}
	for i := 0; i < count/subscribers; i++ {
		for _, ch := range channels {
			ch <- i
		}
	}
	for _, ch := range channels {
		close(ch)
	}
	all.Wait()
	for _, last := range lasts {
		expect("last value", last, count/subscribers-1)
	}
}
