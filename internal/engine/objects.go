package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/layersmith/layersmith/internal/prune"
	"github.com/layersmith/layersmith/internal/sharedobj"
	"github.com/layersmith/layersmith/internal/ziptree"
)

// objects is what the gate needs to know of the ELF files of a layer.
type objects struct {
	facts  map[string]sharedobj.Facts // of readable files, by name in the zip
	broken map[string]string          // files that begin as ELF but cannot be read, and why
}

// maxObjectBytes is Lambda's limit for a function and all of its layers.
const maxObjectBytes = 250 << 20

// factsVersion belongs to the key of cached facts.
const factsVersion = 1

// noWheel stands for the wheel in the key of facts about files without one. Changing it would
// orphan existing caches.
const noWheel = "foreign"

// objectFacts are the cached facts of one file.
type objectFacts struct {
	Facts  sharedobj.Facts `json:"facts"`
	Broken string          `json:"broken,omitempty"`
	ELF    bool            `json:"elf"`
}

// readObjects reads the ELF files of a layer. It inflates each of them, so facts are cached, in one
// file for each wheel.
func readObjects(ctx context.Context, cache Cache, p prune.Pruned) (objects, error) {
	byWheel := map[string][]prune.Applied{}
	for _, o := range p.Decisions {
		if o.Fate != prune.Dropped && mayBeObject(o.Site, o.Result.Exec) {
			byWheel[o.Wheel] = append(byWheel[o.Wheel], o)
		}
	}

	out := objects{facts: map[string]sharedobj.Facts{}, broken: map[string]string{}}
	for _, wheel := range sortedKeys(byWheel) {
		if err := out.addWheel(ctx, cache, wheel, byWheel[wheel]); err != nil {
			return objects{}, err
		}
	}

	return out, nil
}

// addWheel adds the facts of files of one wheel.
func (x objects) addWheel(ctx context.Context, cache Cache, wheel string, files []prune.Applied) error {
	key := fmt.Sprintf("%s/elf-facts-%d", cmp.Or(wheel, noWheel), factsVersion)
	known, err := loadFacts(ctx, cache, key)
	if err != nil {
		return err
	}

	before := len(known)
	for _, o := range files {
		id := fmt.Sprintf("%s %08x %d", o.Site, o.Result.CRC32, o.Result.Size)
		f, ok := known[id]
		if !ok {
			if err := ctx.Err(); err != nil {
				return err
			}

			if f, err = readObject(o.Result); err != nil {
				return err
			}

			known[id] = f
		}

		x.add(o.Result.Name, f)
	}

	if len(known) == before {
		return nil
	}

	return storeFacts(ctx, cache, key, known)
}

func (x objects) add(name string, f objectFacts) {
	switch {
	case f.Broken != "":
		x.broken[name] = f.Broken
	case f.ELF:
		x.facts[name] = f.Facts
	}
}

// loadFacts returns the cached facts of a wheel's files, by name, CRC-32 and size.
func loadFacts(ctx context.Context, cache Cache, key string) (map[string]objectFacts, error) {
	known := map[string]objectFacts{}
	pack, err := cache.Load(ctx, key)
	if err != nil {
		return nil, err
	}

	e, ok := pack.Lookup("facts.json")
	if !ok {
		return known, nil
	}

	b, err := e.Bytes(maxCachedFile)
	if err == nil {
		err = json.Unmarshal(b, &known)
	}

	if err != nil {
		return nil, fmt.Errorf("read cache %s: %w", key, err)
	}

	return known, nil
}

func storeFacts(ctx context.Context, cache Cache, key string, known map[string]objectFacts) error {
	b, err := json.Marshal(known)
	if err != nil {
		return err
	}

	return storeFile(ctx, cache, key, "facts.json", b)
}

// mayBeObject reports whether the name of a file, relative to the site folder, is one that an ELF
// file can have. Programs have none in common, but permission to be executed.
func mayBeObject(site string, exec bool) bool {
	site = strings.TrimPrefix(site, prune.Outside)
	base := site[strings.LastIndexByte(site, '/')+1:]
	return exec || strings.HasPrefix(site, "bin/") || strings.HasSuffix(base, ".node") ||
		strings.HasSuffix(base, ".so") || strings.Contains(base, ".so.") ||
		!strings.Contains(base, ".")
}

// readObject returns an error only when the file cannot be inflated.
func readObject(e ziptree.Entry) (objectFacts, error) {
	if e.Size > maxObjectBytes {
		return objectFacts{Broken: fmt.Sprintf("%d bytes, limit %d", e.Size, int64(maxObjectBytes))}, nil
	}

	b, err := e.Bytes(maxObjectBytes)
	if err != nil {
		return objectFacts{}, err
	}

	if !sharedobj.Is(b) {
		return objectFacts{}, nil
	}

	f, err := sharedobj.Read(b)
	if err != nil {
		return objectFacts{ELF: true, Broken: err.Error()}, nil
	}

	return objectFacts{ELF: true, Facts: f}, nil
}
