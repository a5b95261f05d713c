package functions

import (
	"net/http"
	"strings"

	"github.com/aws/smithy-go/encoding/cbor"
)

// CloudWatch has a protocol with CBOR and a path for each operation (smithy-rpc-v2-cbor).

func cborAnswer(w http.ResponseWriter, status int, out cbor.Map) {
	w.Header().Set("Content-Type", "application/cbor")
	w.Header().Set("Smithy-Protocol", "rpc-v2-cbor")
	w.WriteHeader(status)
	w.Write(cbor.Encode(out)) // an error: the client has gone
}

func cborError(code, message string) cbor.Map {
	return cbor.Map{"__type": cbor.String("com.amazonaws.cloudwatch#" + code), "message": cbor.String(message)}
}

// Metrics is CloudWatch with PutMetricData only, which calls taken.
func Metrics(taken func()) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/operation/PutMetricData") {
			cborAnswer(w, http.StatusBadRequest, cborError("InvalidAction", r.URL.Path))
			return
		}

		taken()
		cborAnswer(w, http.StatusOK, cbor.Map{})
	})
}
