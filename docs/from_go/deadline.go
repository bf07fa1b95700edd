// A context: one deadline for a whole tree of calls, each of
// which may have a shorter one of its own.
package main

import (
	"context"
	"fmt"
	"time"
)

func load(ctx context.Context, what string, takes time.Duration) string {
	select {
	case <-time.After(takes):
		return what
	case <-ctx.Done():
		return "no " + what
	}
}

func page(ctx context.Context) {
	fmt.Println(load(ctx, "text", time.Millisecond))
	short, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
	defer cancel()
	fmt.Println(load(short, "advertisement", 10*time.Second))
	fmt.Println(ctx.Err() == nil, short.Err() == context.DeadlineExceeded)
	fmt.Println(load(ctx, "comments", 10*time.Second))
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	page(ctx)
}
