// The first of three replicas: ask all, use the first answer,
// call the others off.
package main

import (
	"context"
	"fmt"
	"time"
)

var latency = map[string]time.Duration{
	"north": 10 * time.Second,
	"south": time.Millisecond,
	"west":  10 * time.Second,
}

func ask(ctx context.Context, replica string) (string, error) {
	select {
	case <-time.After(latency[replica]):
		return "the answer of " + replica, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

func first(replicas ...string) string {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	answers := make(chan string, len(replicas))
	for _, replica := range replicas {
		go func(replica string) {
			if answer, err := ask(ctx, replica); err == nil {
				answers <- answer
			}
		}(replica)
	}
	return <-answers
}

func main() {
	fmt.Println(first("north", "south", "west"))
}
