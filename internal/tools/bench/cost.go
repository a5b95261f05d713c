package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// cost is what processes took that ran one after the other.
type cost struct {
	cpu, wall time.Duration
	peak      int64 // bytes resident, of the largest process
}

func (c cost) plus(next cost) cost {
	return cost{c.cpu + next.cpu, c.wall + next.wall, max(c.peak, next.peak)}
}

// String is "CPU / wall", in seconds.
func (c cost) String() string { return fmt.Sprintf("%.2f / %.2f", c.cpu.Seconds(), c.wall.Seconds()) }

// sideBySide runs the commands in turn, once to warm up and then b.rounds times, and returns the
// medians of each.
func (b *bench) sideBySide(commands ...func() (cost, error)) ([]cost, error) {
	all := make([][]cost, len(commands))
	for n := range b.rounds + 1 {
		for i, c := range commands {
			fmt.Fprintf(os.Stderr, "bench: command %d of %d, round %d\n", i+1, len(commands), n)
			got, err := c()
			if err != nil {
				return nil, err
			}

			if n > 0 {
				all[i] = append(all[i], got)
			}
		}
	}

	out := make([]cost, len(commands))
	for i, runs := range all {
		var cpu, wall []time.Duration
		for _, r := range runs {
			cpu = append(cpu, r.cpu)
			wall = append(wall, r.wall)
			out[i].peak = max(out[i].peak, r.peak)
		}

		out[i].cpu = median(cpu)
		out[i].wall = median(wall)
	}

	return out, nil
}

// median sorts the durations.
func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

func (b *bench) layersmith(args ...string) (cost, error) {
	return run("", []string{"LAYERSMITH_CACHE=" + b.cache}, append([]string{b.binary}, args...)...)
}

// run runs a command in a folder, "" for the current one, with more variables.
func run(dir string, env []string, args ...string) (cost, error) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var diagnostics bytes.Buffer
	cmd.Stderr = &diagnostics
	start := time.Now()
	err := cmd.Run()
	c := cost{wall: time.Since(start)}
	if err != nil {
		return c, fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, diagnostics.String())
	}

	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return c, errors.New("the system does not account for processes")
	}

	c.cpu = time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	c.peak = usage.Maxrss * 1024 // KiB on Linux

	return c, nil
}
