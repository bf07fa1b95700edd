// Two players and one ball, on an unbuffered channel: the
// table.
package main

import "fmt"

type ball struct{ hits int }

func play(name string, table chan *ball, over chan<- struct{}) {
	for b := range table {
		b.hits++
		fmt.Println(name, b.hits)
		if b.hits == 6 {
			close(over)
			return
		}
		table <- b
	}
}

func main() {
	table := make(chan *ball)
	over := make(chan struct{})
	go play("ping", table, over)
	table <- &ball{}
	go play("pong", table, over)
	<-over
}
