// Fan-in: one channel for what two talkers say. Each message
// carries a channel on which its talker waits for the next
// turn.
package main

import (
	"fmt"
	"sort"
)

type message struct {
	text string
	next chan struct{}
}

func talk(name string) <-chan message {
	out := make(chan message)
	next := make(chan struct{})
	go func() {
		for i := 0; ; i++ {
			out <- message{fmt.Sprintf("%s %d", name, i), next}
			<-next
		}
	}()
	return out
}

func fanIn(a, b <-chan message) <-chan message {
	out := make(chan message)
	go func() {
		for {
			select {
			case m := <-a:
				out <- m
			case m := <-b:
				out <- m
			}
		}
	}()
	return out
}

func main() {
	both := fanIn(talk("Ann"), talk("Joe"))
	for i := 0; i < 3; i++ {
		first, second := <-both, <-both
		texts := []string{first.text, second.text}
		sort.Strings(texts)
		fmt.Println(texts[0], "and", texts[1])
		first.next <- struct{}{}
		second.next <- struct{}{}
	}
}
