// Layersmith makes Lambda layers for Python smaller and faster to start, and proves that they still
// work.
package main

import (
	"os"

	"github.com/layersmith/layersmith/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], cli.Streams{Out: os.Stdout, Err: os.Stderr}))
}
