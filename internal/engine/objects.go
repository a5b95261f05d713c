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

// Objects reads what the gate needs to know of the ELF files of a layer. Facts are cached by wheel,
// since reading them means to inflate every shared object.
type Objects struct{ Cache Cache }

// maxObjectBytes is as large as Lambda's limit for everything.
const maxObjectBytes = 250 << 20

type objectFacts struct {
	Facts  sharedobj.Facts `json:"facts"`
	Broken string          `json:"broken,omitempty"`
	ELF    bool            `json:"elf"`
}

// Run returns facts by name in the zip, and the files that call themselves ELF but cannot be read.
func (s Objects) Run(
	ctx context.Context,
	prefix string,
	p prune.Pruned,
) (facts map[string]sharedobj.Facts, broken map[string]string, err error) {
	facts = map[string]sharedobj.Facts{}
	broken = map[string]string{}
	byWheel := map[string][]prune.Outcome{}
	for _, o := range p.Decisions {
		if o.Fate != prune.Dropped && mayBeObject(o.Site) {
			byWheel[o.Wheel] = append(byWheel[o.Wheel], o)
		}
	}

	for _, wheel := range sortedKeys(byWheel) {
		known := map[string]objectFacts{}
		key := fmt.Sprintf("%s/elf-facts-%d", cmp.Or(wheel, "foreign"),
			factsVersion) // the facts inside are by name, CRC and size
		pack, err := s.Cache.Load(ctx, key)
		if err != nil {
			return nil, nil, err
		}

		if e, ok := pack.Lookup("facts.json"); ok {
			b, err := e.Bytes(maxIndexBytes)
			if err == nil {
				err = json.Unmarshal(b, &known)
			}

			if err != nil {
				return nil, nil, fmt.Errorf("read cache %s: %w", key, err)
			}
		}

		added := false
		for _, o := range byWheel[wheel] {
			id := fmt.Sprintf("%s %08x %d", o.Site, o.Result.CRC32, o.Result.Size)
			f, ok := known[id]
			if !ok {
				if err := ctx.Err(); err != nil {
					return nil, nil, err
				}

				if f, err = readObject(o.Result); err != nil {
					return nil, nil, err
				}

				known[id] = f
				added = true
			}

			switch {
			case f.Broken != "":
				broken[o.Result.Name] = f.Broken
			case f.ELF:
				facts[o.Result.Name] = f.Facts
			}
		}

		if !added {
			continue
		}

		b, err := json.Marshal(known)
		if err != nil {
			return nil, nil, err
		}

		if _, err := s.Cache.Store(ctx, key, func(add func(ziptree.Entry) error) error {
			return add(ziptree.File("facts.json", b, false, key))
		}); err != nil {
			return nil, nil, err
		}
	}

	return facts, broken, nil
}

// factsVersion belongs to the key of cached facts.
const factsVersion = 1

func mayBeObject(site string) bool {
	site = strings.TrimPrefix(site, prune.Outside)
	base := site[strings.LastIndexByte(site, '/')+1:]
	return strings.HasSuffix(base, ".so") || strings.Contains(base, ".so.") || strings.HasPrefix(site, "bin/") ||
		!strings.Contains(base, ".")
}

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
