package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/layersmith/layersmith/internal/report"
	"github.com/layersmith/layersmith/internal/tools/page"
)

// leastRatio is how many times less CPU than uv a warm build should take, by layer.
var leastRatio = map[string]float64{"a": 20, "b": 20, "c": 10}

// leastColdRatio allows a cold build 5 % more wall time than uv: that is noise.
const leastColdRatio = 0.95

// speedTable measures CPU, wall time and memory of each layer's build, by this and by other tools.
func (b *bench) speedTable(r report.Report) error {
	b.Paragraph("## CPU, wall and memory")
	b.Line("Requirements to zip, whole processes. uv = `uv pip install --target` + `zip -r`, pip = `pip install " +
		"--target` + `zip -r`, both with warm caches, without bytecode.")
	b.Paragraph("Ours: warm = everything cached, outputs removed, with bytecode; cold = only the wheels are cached. " +
		"b is built with the a that it extends, by every tool. Targets: warm at least 20x, 20x and 10x less CPU than " +
		"uv; cold no slower than uv (wall); nothing changed at most 100 ms; peak at most 128 MB.")
	b.Header(new(page.Columns).Left("layer", "uv CPU / wall s", "pip CPU / wall s", "warm CPU / wall s",
		"uv / warm CPU, wall", "pip / warm CPU", "cold, no bytecode CPU / wall s", "uv / cold CPU, wall",
		"peak MB warm, cold"))

	var missed []string
	var all []speed
	for _, l := range r.Layers {
		s, err := b.speed(r, l)
		if err != nil {
			return err
		}

		b.Line("| %s | %s | %s | %s | %.0fx, %.0fx | %.0fx | %s | %.1fx, %.1fx | %s, %s |",
			short[l.Name], s.uv, s.pip, s.warm,
			ratio(s.uv.cpu, s.warm.cpu), ratio(s.uv.wall, s.warm.wall),
			ratio(s.pip.cpu, s.warm.cpu),
			s.coldPlain, ratio(s.uv.cpu, s.coldPlain.cpu), ratio(s.uv.wall, s.coldPlain.wall),
			page.MB(s.warm.peak, 0), page.MB(max(s.cold.peak, s.coldPlain.peak), 0))
		missed = append(missed, s.missed(short[l.Name])...)
		all = append(all, s)
	}

	b.Line("")
	b.verdict(missed, "All targets are met, that of the cold build by wall time.")
	b.Paragraph("A first build spends more CPU than uv, on all processors at a time: it deflates again what it " +
		"strips, 5 %% smaller than zlib's best at a third of its speed, and inflates and deflates most AWS models " +
		"twice, as gzip in a zip. It does so once for each version of a wheel.")
	b.compiledTable(r, all)

	return b.unchanged()
}

// compiledTable compares cold builds with bytecode, like for like.
func (b *bench) compiledTable(r report.Report, speeds []speed) {
	b.Paragraph("With bytecode, like for like: ours as cold as above, uv = `uv pip install --target " +
		"--compile-bytecode` + `zip -r`, in the same run. Target: no slower than uv, in CPU and in wall time.")
	b.Header(new(page.Columns).Left("layer", "uv CPU / wall s", "ours, cold CPU / wall s", "uv / ours CPU, wall"))
	var missed []string
	for i, l := range r.Layers {
		s := speeds[i]
		cpu := ratio(s.uvCompiled.cpu, s.cold.cpu)
		wall := ratio(s.uvCompiled.wall, s.cold.wall)
		b.Line("| %s | %s | %s | %.1fx, %.1fx |", short[l.Name], s.uvCompiled, s.cold, cpu, wall)
		if min(cpu, wall) < leastColdRatio {
			missed = append(missed, fmt.Sprintf("%s cold takes %s s, uv %s s", short[l.Name], s.cold, s.uvCompiled))
		}
	}

	b.Line("")
	b.verdict(missed, "The target is met.")
	b.Line("")
}

// unchanged measures a build of all layers in which nothing changed.
func (b *bench) unchanged() error {
	costs, err := b.sideBySide(func() (cost, error) {
		return b.layersmith("build", "--workspace", "layers", "--output", b.full, "--quiet")
	})
	if err != nil {
		return err
	}

	b.Line("Nothing changed, all three layers: %d ms wall, %d ms CPU.",
		costs[0].wall.Milliseconds(), costs[0].cpu.Milliseconds())

	return nil
}

// speed is what builds of one layer cost.
type speed struct {
	uv, pip    cost
	uvCompiled cost // uv with bytecode
	warm       cost // everything cached
	coldPlain  cost // only the wheels are cached; without bytecode
	cold       cost // the same, with bytecode
}

// missed says which targets are missed.
func (s speed) missed(layer string) []string {
	var out []string
	if ratio(s.uv.wall, s.coldPlain.wall) < leastColdRatio {
		out = append(out, fmt.Sprintf("%s cold takes %.2f s, uv %.2f s",
			layer, s.coldPlain.wall.Seconds(), s.uv.wall.Seconds()))
	}

	if got, least := ratio(s.uv.cpu, s.warm.cpu), leastRatio[layer]; got < least {
		out = append(out, fmt.Sprintf("%s warm takes %.0fx less CPU than uv, wanted %.0fx", layer, got, least))
	}

	return out
}

// speed measures builds of one layer with what it extends.
func (b *bench) speed(r report.Report, l report.Layer) (speed, error) {
	plain, err := b.alone(r, l, "none")
	if err != nil {
		return speed{}, err
	}

	compiled, err := b.alone(r, l, "")
	if err != nil {
		return speed{}, err
	}

	python, err := pythonWithPip()
	if err != nil {
		return speed{}, err
	}

	var pins []string
	for _, other := range r.Layers {
		if other.Name == l.Name || slices.Contains(l.Extends, other.Name) {
			pins = append(pins, pinsOf(other)...)
		}
	}

	uv := []string{
		"uv", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:",
		"--python-version", "3.13", "--python-platform", "x86_64-manylinux_2_34",
	}
	compiling := slices.Concat(uv, []string{"--compile-bytecode", "--python", python})
	pip := []string{
		python, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:", "--no-compile",
		"--disable-pip-version-check", "--root-user-action", "ignore",
	}
	costs, err := b.sideBySide(
		func() (cost, error) { return b.installAndZip(uv, pins) },
		func() (cost, error) { return b.installAndZip(pip, pins) },
		func() (cost, error) { return b.build(l.Name, compiled) },
		func() (cost, error) { return b.buildCold(l.Name, plain) },
		func() (cost, error) { return b.buildCold(l.Name, compiled) },
		func() (cost, error) { return b.installAndZip(compiling, pins) },
	)
	if err != nil {
		return speed{}, err
	}

	return speed{
		uv: costs[0], pip: costs[1], warm: costs[2], coldPlain: costs[3], cold: costs[4], uvCompiled: costs[5],
	}, nil
}

// installAndZip installs distributions with another tool and zips them.
func (b *bench) installAndZip(install, pins []string) (cost, error) {
	dir := filepath.Join(b.temp, "peer")
	if err := os.RemoveAll(dir); err != nil {
		return cost{}, err
	}

	target := []string{"--target", filepath.Join(dir, "python")}
	installed, err := run("", nil, slices.Concat(install, target, pins)...)
	if err != nil {
		return cost{}, err
	}

	zipped, err := run(dir, nil, "zip", "-qr", "layer.zip", "python")

	return installed.plus(zipped), err
}

// build builds one layer of a workspace, with warm caches.
func (b *bench) build(layer, workspace string) (cost, error) {
	out := filepath.Join(b.temp, "ours")
	if err := os.RemoveAll(out); err != nil {
		return cost{}, err
	}

	return b.layersmith("build", layer, "--workspace", workspace, "--output", out, "--no-probe", "--quiet")
}

// buildCold builds one layer of a workspace with only the wheels cached.
func (b *bench) buildCold(layer, workspace string) (cost, error) {
	if err := os.RemoveAll(filepath.Join(b.cache, "packs")); err != nil {
		return cost{}, err
	}

	return b.build(layer, workspace)
}

// workspace copies the example workspace and sets the mode of bytecode of all layers; "" leaves it
// as it is.
func (b *bench) workspace(mode string) (string, error) {
	dir := filepath.Join(b.temp, "ws-"+mode)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}

	if err := os.CopyFS(dir, os.DirFS("layers")); err != nil || mode == "" {
		return dir, err
	}

	specs, err := filepath.Glob(filepath.Join(dir, "*", "layer.yaml"))
	if err != nil {
		return "", err
	}

	for _, f := range specs {
		spec, err := os.ReadFile(f)
		if err != nil {
			return "", err
		}

		if err := os.WriteFile(f, append(spec, "\nbytecode: "+mode+"\n"...), 0o644); err != nil {
			return "", err
		}
	}

	return dir, nil
}

// alone makes a workspace of one layer and what it extends, with a mode of bytecode, because other
// tools install one layer too. It is locked to the versions of the full workspace, which are those
// that the other tools install, and its wheels are in the store.
func (b *bench) alone(full report.Report, l report.Layer, mode string) (string, error) {
	from, err := b.workspace(mode)
	if err != nil {
		return "", err
	}

	dir := filepath.Join(b.temp, "alone-"+l.Name+mode)
	for _, name := range append([]string{l.Name}, l.Extends...) {
		if err := os.CopyFS(filepath.Join(dir, name), os.DirFS(filepath.Join(from, name))); err != nil {
			return "", err
		}
	}

	if err := pin(filepath.Join(dir, l.Name), full); err != nil {
		return "", err
	}

	out := filepath.Join(b.temp, "warm-up")
	_, err = b.layersmith("build", "--workspace", dir, "--output", out, "--no-probe", "--quiet")

	return dir, err
}

// pin constrains the requirements of a layer to the versions of a report.
func pin(layer string, full report.Report) error {
	var pins []string
	for _, l := range full.Layers {
		pins = append(pins, pinsOf(l)...)
	}

	slices.Sort(pins)
	constraints := strings.Join(slices.Compact(pins), "\n") + "\n"
	if err := os.WriteFile(filepath.Join(layer, "pins.txt"), []byte(constraints), 0o644); err != nil {
		return err
	}

	file := filepath.Join(layer, "requirements.txt")
	requirements, err := os.ReadFile(file)
	if err != nil {
		return err
	}

	return os.WriteFile(file, append([]byte("-c pins.txt\n"), requirements...), 0o644)
}

// pinsOf are the distributions of a layer, as requirements.
func pinsOf(l report.Layer) []string {
	var pins []string
	for _, d := range l.Inputs.Wheels {
		pins = append(pins, d.Name+"=="+d.Version)
	}

	return pins
}

// pythonWithPip finds an interpreter with pip. Any will do: pip installs wheels for the target.
func pythonWithPip() (string, error) {
	home, _ := os.UserHomeDir()
	found, _ := filepath.Glob(filepath.Join(home, ".pyenv", "versions", "3.13*", "bin", "python3.13"))
	for _, p := range append(found, "python3.13", "python3") {
		if exec.Command(p, "-m", "pip", "--version").Run() == nil {
			return p, nil
		}
	}

	return "", errors.New("found no python with pip")
}

func ratio(a, b time.Duration) float64 { return float64(a) / float64(max(b, time.Millisecond)) }
