// Layersmith builds small, tested AWS Lambda layers for Python.
package main

import (
	"os"

	"github.com/layersmith/layersmith/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], cli.Streams{Out: os.Stdout, Err: os.Stderr}))
}
