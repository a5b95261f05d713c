package main

import (
	"os"
	"testing"

	"github.com/layersmith/layersmith/internal/testenv/host"
)

func TestMain(m *testing.M) { os.Exit(host.Main(m)) }
