package release

import (
	"fmt"
	"strconv"
	"strings"
)

// ParseLayerVersionARN splits arn:aws:lambda:<region>:<account>:layer:<name>:<version>.
func ParseLayerVersionARN(arn string) (name string, version int64, err error) {
	parts := strings.Split(arn, ":")
	if len(parts) != 8 || parts[0] != "arn" || parts[2] != "lambda" || parts[5] != "layer" || parts[6] == "" {
		return "", 0, fmt.Errorf("%q is not the ARN of a layer version", arn)
	}

	version, err = strconv.ParseInt(parts[7], 10, 64)
	if err != nil || version < 1 {
		return "", 0, fmt.Errorf("%q is not the ARN of a layer version", arn)
	}

	return parts[6], version, nil
}

// NameOf is the layer's name in a version's ARN; "" when it is none.
func NameOf(arn string) string {
	name, _, err := ParseLayerVersionARN(arn)
	if err != nil {
		return ""
	}

	return name
}

// SameLayer says whether two ARNs are versions of one layer: of one account and region too, since
// others' layers may have the same name.
func SameLayer(a, b string) bool {
	i := strings.LastIndexByte(a, ':')
	j := strings.LastIndexByte(b, ':')
	return NameOf(a) != "" && NameOf(b) != "" && a[:i] == b[:j]
}

// LayerOfFunction is the ARN, without a version, of a layer in the account and region of a
// function.
func LayerOfFunction(function, layer string) string {
	before, _, _ := strings.Cut(function, ":function:")
	return before + ":layer:" + layer
}
