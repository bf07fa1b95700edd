// A subscription: one loop that fetches, keeps what is not
// taken yet, delivers, and answers to close. A nil channel
// switches a case off.
package main

import "fmt"

type subscription struct {
	updates chan string
	closing chan chan int
}

func fetch(batch int) []string {
	return []string{fmt.Sprintf("item %d", 2*batch), fmt.Sprintf("item %d", 2*batch+1)}
}

func (s *subscription) loop() {
	var pending []string
	delivered, batch := 0, 0
	due := make(chan struct{}, 1)
	due <- struct{}{}
	for {
		var first string
		var updates chan string
		if len(pending) > 0 {
			first, updates = pending[0], s.updates // enable the send
		}
		startFetch := due
		if len(pending) >= 3 {
			startFetch = nil // enough for now
		}
		select {
		case <-startFetch:
			pending = append(pending, fetch(batch)...)
			batch++
			due <- struct{}{}
		case updates <- first:
			pending = pending[1:]
			delivered++
		case reply := <-s.closing:
			close(s.updates)
			reply <- delivered
			return
		}
	}
}

func main() {
	s := &subscription{make(chan string), make(chan chan int)}
	go s.loop()
	for i := 0; i < 5; i++ {
		fmt.Println(<-s.updates)
	}
	reply := make(chan int)
	s.closing <- reply
	fmt.Println("delivered", <-reply)
	_, open := <-s.updates
	fmt.Println("open", open)
}
