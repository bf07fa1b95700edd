package main

import (
	"reflect"
	"sort"
	"sync"
	"time"
)

const nap = 10 * time.Millisecond // that a sleeper sleeps

// timed are the workloads that time themselves: nanoseconds, without what only prepares them.
var timed = map[string]func(count int) int64{
	"select_ready":   selectReady,
	"select_builder": selectHandlers,
	"selector_2":     func(count int) int64 { return reflectSelect(count, 2) },
	"selector_1000":  func(count int) int64 { return reflectSelect(count, 1000) },
	"sleepers_late":  sleepersLate,
}

func init() {
	workloads["select_default"] = selectDefault
	workloads["select_blocked"] = selectBlocked
	workloads["select_blocked_10"] = selectBlocked10
	workloads["select_blocked_100"] = selectBlocked100
	workloads["select_timeout"] = selectTimeout
	workloads["timeout_unused"] = timeoutUnused
	workloads["sleepers_wall"] = func(count int) { allNaps(count) }
}

// filled is a channel with count values in it.
func filled(count int) chan int {
	ch := make(chan int, count)
	for i := 0; i < count; i++ {
		ch <- i
	}
	return ch
}

// selectReady receives count values that are there, from one of two channels.
func selectReady(count int) int64 {
	silent, ch, last := make(chan int), filled(count), -1
	start := time.Now()
	for i := 0; i < count; i++ {
		select {
		case last = <-silent:
		case last = <-ch:
		}
	}
	took := time.Since(start).Nanoseconds()
	expect("last value", last, count-1)
	return took
}

//go:noinline
func received(value int) int { return value }

// selectHandlers is selectReady with a function called for each value.
func selectHandlers(count int) int64 {
	silent, ch, last := make(chan int), filled(count), -1
	start := time.Now()
	for i := 0; i < count; i++ {
		select {
		case value := <-silent:
			last = received(value)
		case value := <-ch:
			last = received(value)
		}
	}
	took := time.Since(start).Nanoseconds()
	expect("last value", last, count-1)
	return took
}

// selectDefault takes the default count times, as two channels have nothing.
func selectDefault(count int) {
	one, two, defaults := make(chan int), make(chan int), 0
	for i := 0; i < count; i++ {
		select {
		case <-one:
		case <-two:
		default:
			defaults++
		}
	}
	expect("defaults", defaults, count)
}

// openChannels makes unbuffered channels.
func openChannels(ways int) []chan int {
	channels := make([]chan int, ways)
	for i := range channels {
		channels[i] = make(chan int)
	}
	return channels
}

// produceInTurn sends the ints below count, to one channel after the other, and closes done.
func produceInTurn(channels []chan int, count int, done chan<- struct{}) {
	for i := 0; i < count; i++ {
		channels[i%len(channels)] <- i
	}
	close(done)
}

// produce sends the ints below count and closes done.
func produce(ch chan<- int, count int, done chan<- struct{}) {
	for i := 0; i < count; i++ {
		ch <- i
	}
	close(done)
}

// selectBlocked waits for each of count values that come over one of two channels.
func selectBlocked(count int) {
	silent, ch, done, last := make(chan int), make(chan int), make(chan struct{}), -1
	go produce(ch, count, done)
	for i := 0; i < count; i++ {
		select {
		case last = <-silent:
		case last = <-ch:
		}
	}
	<-done
	expect("last value", last, count-1)
}

// selectTimeout is selectBlocked, each time for a second at most.
func selectTimeout(count int) {
	silent, ch, done, last := make(chan int), make(chan int), make(chan struct{}), -1
	go produce(ch, count, done)
	for i := 0; i < count; i++ {
		select {
		case last = <-silent:
		case last = <-ch:
		case <-time.After(time.Second):
			panic("late")
		}
	}
	<-done
	expect("last value", last, count-1)
}

// selectBlocked10 waits for each of count values that come over ten channels in turn.
func selectBlocked10(count int) {
	c, done, last := openChannels(10), make(chan struct{}), -1
	go produceInTurn(c, count, done)
	for i := 0; i < count; i++ {
		select {
		case last = <-c[0]:
		case last = <-c[1]:
		case last = <-c[2]:
		case last = <-c[3]:
		case last = <-c[4]:
		case last = <-c[5]:
		case last = <-c[6]:
		case last = <-c[7]:
		case last = <-c[8]:
		case last = <-c[9]:
		}
	}
	<-done
	expect("last value", last, count-1)
}

// reflectSelect waits for each of count values that come over one of as many channels as asked for.
// The cases are made once, as a program would that selects in a loop.
func reflectSelect(count, ways int) int64 {
	channels, done, last := openChannels(ways), make(chan struct{}), -1
	go produceInTurn(channels, count, done)
	cases := make([]reflect.SelectCase, ways)
	for i, ch := range channels {
		cases[i] = reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(ch)}
	}
	start := time.Now()
	for i := 0; i < count; i++ {
		_, value, _ := reflect.Select(cases)
		last = int(value.Int())
	}
	took := time.Since(start).Nanoseconds()
	<-done
	expect("last value", last, count-1)
	return took
}

// timeoutUnused starts and stops count timers.
func timeoutUnused(count int) {
	for i := 0; i < count; i++ {
		time.NewTimer(time.Second).Stop()
	}
}

// allNaps has count sleepers at once and returns how late each was, in nanoseconds.
func allNaps(count int) []int64 {
	lateness := make([]int64, count)
	var all sync.WaitGroup
	all.Add(count)
	for i := 0; i < count; i++ {
		go func(i int) {
			defer all.Done()
			start := time.Now()
			time.Sleep(nap)
			lateness[i] = (time.Since(start) - nap).Nanoseconds()
		}(i)
	}
	all.Wait()
	return lateness
}

// sleepersLate is how late half of count sleepers are at most, times count.
func sleepersLate(count int) int64 {
	lateness := allNaps(count)
	sort.Slice(lateness, func(i, j int) bool { return lateness[i] < lateness[j] })
	return lateness[count/2] * int64(count)
}
