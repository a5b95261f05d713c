package workspace

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// ConsumersFile is a file of the workspace. No digest of a layer depends on it.
const ConsumersFile = "consumers.yaml"

// Limits of a health window, in seconds. CloudWatch evaluates alarms once a minute; an execution
// that waits for more than an hour blocks the next.
const (
	minWindowSeconds     = 60
	maxWindowSeconds     = 3600
	defaultWindowSeconds = 300
)

// Consumer is one entry of consumers.yaml: functions that move to new versions of layers.
// Exactly one of Function and Tag is set.
type Consumer struct {
	Function string            // name, or ARN without a version or alias
	Tag      map[string]string // functions that have all of these tags
	Layers   []string          // with the layers that they extend, lowest first
	Alias    string            // "" if only $LATEST moves
	Health   Health
	Line     int // in consumers.yaml
}

// Health is the alarm that is watched after a function has moved. The zero Health watches none.
type Health struct {
	Alarm         string // name of a CloudWatch alarm; see AlarmOf
	WindowSeconds int    // the function is healthy if the alarm is not raised for so long
}

// FunctionInAlarm is replaced by the function's name in the name of an alarm. A consumer by tag
// needs it to have one alarm for each function.
const FunctionInAlarm = "{function}"

// AlarmOf returns the name of the alarm of a function, given by name or ARN; "" if none is watched.
func (h Health) AlarmOf(function string) string {
	return strings.ReplaceAll(h.Alarm, FunctionInAlarm, functionName(function))
}

// functionName returns the name from an unqualified ARN. A name is returned as it is.
func functionName(function string) string {
	return functionPrefix.ReplaceAllString(function, "")
}

// The parts of a function's identifier, from the Lambda API reference (CreateAlias: FunctionName).
// Partial ARNs, which the API accepts, are not.
const (
	arnOfFunction  = `(arn:aws[a-z-]*:lambda:[a-z0-9-]+:[0-9]{12}:function:)`
	nameOfFunction = `[A-Za-z0-9_-]{1,64}`
)

// Patterns of the Lambda API (CreateAlias: FunctionName, Name); of the Resource Groups Tagging API
// (50 tags; keys of 1 to 128 characters, values up to 256); and of the CloudWatch API
// (PutMetricAlarm: 1 to 255 characters, no control characters).
var (
	functionPrefix   = regexp.MustCompile(`^` + arnOfFunction)
	functionPattern  = regexp.MustCompile(`^` + arnOfFunction + `?` + nameOfFunction + `$`)
	qualifiedPattern = regexp.MustCompile(`^(` + arnOfFunction + `?` + nameOfFunction + `):([$A-Za-z0-9_-]{1,128})$`)
	aliasPattern     = regexp.MustCompile(`^[A-Za-z0-9_-]*[A-Za-z_-][A-Za-z0-9_-]*$`)
	tagKeyPattern    = regexp.MustCompile(`^.{1,128}$`)
	tagValuePattern  = regexp.MustCompile(`^.{0,256}$`)
	alarmPattern     = regexp.MustCompile(`^[^\x00-\x1f\x7f]{1,255}$`)
	alarmVariable    = regexp.MustCompile(`\{[A-Za-z_]*\}`)
	windowPattern    = regexp.MustCompile(`^([0-9]{1,6})([smh])$`)
)

const (
	maxAliasChars = 128
	maxTags       = 50
)

// windowSeconds parses a duration such as 5m or 90s; false for any other text.
func windowSeconds(s string) (int, bool) {
	m := windowPattern.FindStringSubmatch(s)
	if m == nil {
		return 0, false
	}

	n, _ := strconv.Atoi(m[1])
	return n * map[string]int{"s": 1, "m": 60, "h": 3600}[m[2]], true
}

// consumersFile reads ConsumersFile. It needs the layers in their final order.
func (l *loader) consumersFile(w *Workspace) {
	b, ok := l.read(ConsumersFile)
	if !ok {
		return
	}

	d := document{loader: l, file: path.Join(l.root, ConsumersFile)}
	d.walk(b, keys{"consumers": func(v value) {
		for _, item := range v.list() {
			if c, ok := item.consumer(*w); ok {
				w.Consumers = append(w.Consumers, c)
			}
		}
	}})
	l.consumersOnce(d.file, w.Consumers)
}

// consumersOnce finds functions and tags that are listed twice, also with different aliases: a
// function has one $LATEST, so only one list of layers.
func (l *loader) consumersOnce(file string, consumers []Consumer) {
	for i, c := range consumers {
		first := slices.IndexFunc(consumers[:i], func(o Consumer) bool { return o.what() != "" && sameFunctions(o, c) })
		if first >= 0 {
			where := fmt.Sprintf("%s:%d", file, c.Line)
			l.find(where, c.what()+" is listed twice", fmt.Sprintf("merge it with line %d", consumers[first].Line))
		}
	}
}

// sameFunctions says whether two consumers select the same functions. A name and an ARN with that
// name are one function: all consumers are in one account and region.
func sameFunctions(a, b Consumer) bool {
	if a.Function != "" && b.Function != "" && strings.Contains(a.Function, ":") != strings.Contains(b.Function, ":") {
		return functionName(a.Function) == functionName(b.Function)
	}

	return a.what() == b.what()
}

// what describes the selected functions.
func (c Consumer) what() string {
	if len(c.Tag) == 0 {
		return c.Function
	}

	var tags []string
	for k, v := range c.Tag {
		tags = append(tags, k+"="+v)
	}

	slices.Sort(tags)
	return "tag " + strings.Join(tags, ", ")
}

// consumer reads one entry; false if it is not a mapping.
func (v value) consumer(w Workspace) (Consumer, bool) {
	c := Consumer{Line: v.line}
	var function, tag, layers bool
	if !v.object("function: NAME, layers: [LAYER]", keys{
		"function": func(v value) {
			c.Function = v.function()
			function = true
		},
		"tag": func(v value) {
			c.Tag = v.tags()
			tag = true
		},
		"layers": func(v value) {
			c.Layers = v.stack(w)
			layers = true
		},
		"alias":  func(v value) { c.Alias = v.alias() },
		"health": func(v value) { c.Health = v.health() },
	}) {
		return Consumer{}, false
	}

	switch {
	case function && tag:
		v.wrong("function and tag exclude each other", "make two entries")
	case !function && !tag:
		v.wrong("function is missing", "add function: with a name or an ARN, or tag: with the tags of the functions")
	}

	if !layers {
		v.wrong("layers is missing", "name the layers that the function uses: "+strings.Join(w.Names(), ", "))
	}

	return c, true
}

func (v value) function() string {
	s, ok := v.scalar()
	if !ok || functionPattern.MatchString(s) {
		return s
	}

	hint := "a name has letters, digits, - and _, at most 64; an ARN is " +
		"arn:aws:lambda:<region>:<account>:function:<name>"
	if m := qualifiedPattern.FindStringSubmatch(s); m != nil && m[3] == "$LATEST" {
		hint = "write function: " + m[1]
	} else if m != nil {
		hint = fmt.Sprintf("write function: %s, and its alias as alias:", m[1])
	}

	v.wrong(fmt.Sprintf("%q is not a function's name or unqualified ARN", s), hint)
	return ""
}

func (v value) tags() map[string]string {
	tags := map[string]string{}
	if !v.entries("team: pricing", func(key string, v value) {
		s, ok := v.scalar()
		if !ok {
			return
		}

		if !tagKeyPattern.MatchString(key) || !tagValuePattern.MatchString(s) {
			v.wrong(
				fmt.Sprintf("%.40q: %.40q is not a tag", key, s),
				"a key has 1 to 128 characters, a value up to 256, on one line",
			)
		}

		tags[key] = s
	}) {
		return nil
	}

	switch {
	case len(tags) == 0:
		v.wrong("tag is empty", "write it as tag: { team: pricing }")
	case len(tags) > maxTags:
		v.wrong(fmt.Sprintf("%d tags, limit %d", len(tags), maxTags), "name fewer tags")
	}

	return tags
}

// stack reads the names of layers, and adds the layers that they extend.
func (v value) stack(w Workspace) []string {
	var wanted []string
	items := v.each()
	if len(items) == 0 {
		v.wrong("layers is empty", "name the layers that the function uses: "+strings.Join(w.Names(), ", "))
	}

	listed := map[string]bool{}
	for _, item := range items {
		name, ok := item.scalar()
		if !ok {
			continue
		}

		if _, known := w.Layer(name); !known {
			item.wrong(fmt.Sprintf("%q is not a layer", name), suggest(name, w.Names()))
			continue
		}

		if listed[name] {
			item.wrong(fmt.Sprintf("layer %s is listed twice", name), "remove one of them")
			continue
		}

		listed[name] = true
		wanted = append(append(wanted, w.Below(name)...), name)
	}

	var stack []string
	for _, l := range w.Layers {
		if slices.Contains(wanted, l.Name) {
			stack = append(stack, l.Name)
		}
	}

	if len(stack) > MaxLayers {
		v.wrong(fmt.Sprintf("needs %d layers with those they extend: %s; a Lambda function may have %d",
			len(stack), strings.Join(stack, ", "), MaxLayers), "merge some of the layers")
	}

	return stack
}

func (v value) alias() string {
	s, ok := v.scalar()
	switch {
	case !ok:
	case s == "$LATEST":
		v.wrong("$LATEST is not an alias", "leave out alias to move only $LATEST")
	case len(s) > maxAliasChars || !aliasPattern.MatchString(s):
		v.wrong(
			fmt.Sprintf("%.140q is not an alias name", s),
			"use letters, digits, - and _, at most 128 characters; a number alone is a version",
		)
	}

	return s
}

func (v value) health() Health {
	h := Health{WindowSeconds: defaultWindowSeconds}
	alarm := false
	if !v.object("alarm: NAME, window: 5m", keys{
		"alarm": func(v value) {
			h.Alarm = v.alarm()
			alarm = true
		},
		"window": func(v value) { h.WindowSeconds = v.window() },
	}) {
		return Health{}
	}

	if !alarm {
		v.wrong("alarm is missing", "name a CloudWatch alarm, or leave out health")
	}

	return h
}

func (v value) alarm() string {
	s, ok := v.scalar()
	if !ok {
		return ""
	}

	if !alarmPattern.MatchString(s) {
		v.wrong(fmt.Sprintf("%.40q is not an alarm name", s), "1 to 255 characters, on one line")
	}

	for _, variable := range alarmVariable.FindAllString(s, -1) {
		if variable != FunctionInAlarm {
			v.wrong("unknown variable "+variable+" in an alarm name",
				"only "+FunctionInAlarm+" is replaced, by the function's name")
		}
	}

	return s
}

func (v value) window() int {
	s, ok := v.scalar()
	if !ok {
		return 0
	}

	n, ok := windowSeconds(s)
	switch {
	case !ok:
		v.wrong(fmt.Sprintf("%q is not a duration", s), "write it as 5m or 90s")
	case n < minWindowSeconds || n > maxWindowSeconds:
		v.wrong(fmt.Sprintf("window %s is out of range: 1m to 1h", s), "write it as 10m")
	}

	return n
}
