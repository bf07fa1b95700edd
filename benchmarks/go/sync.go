package main

import (
	"runtime"
	"sync"
)

const contenders = 10

func init() {
	workloads["mutex"] = mutex
	workloads["mutex_contended"] = mutexContended
	workloads["wait_group"] = waitGroup
	workloads["wait_group_by_hand"] = waitGroup
}

// mutex locks and unlocks count times what nobody else wants.
func mutex(count int) {
	var lock sync.Mutex
	locked := 0
	for i := 0; i < count; i++ {
		lock.Lock()
		locked++
		lock.Unlock()
	}
	expect("locked", locked, count)
}

// mutexContended does so from ten goroutines, each of which gives way while it holds the lock.
func mutexContended(count int) {
	var lock sync.Mutex
	var all sync.WaitGroup
	locked := 0
	all.Add(contenders)
	for c := 0; c < contenders; c++ {
		go func() {
			defer all.Done()
			for i := 0; i < count/contenders; i++ {
				lock.Lock()
				locked++
				runtime.Gosched()
				lock.Unlock()
			}
		}()
	}
	all.Wait()
	expect("locked", locked, count/contenders*contenders)
}

// waitGroup starts count goroutines that end at once, and waits until the last of them is done.
func waitGroup(count int) {
	var all sync.WaitGroup
	for i := 0; i < count; i++ {
		all.Add(1)
		go func() { all.Done() }()
	}
	all.Wait()
}
