package wire

// The names of the formats.
const (
	// OpenAI is OpenAI's chat completions API, which the others are translated
	// from and to.
	OpenAI = "openai"
	// Anthropic is Anthropic's Messages API.
	Anthropic = "anthropic"
	// NextBuilder is the streaming agent API of Alipay's Open Platform.
	NextBuilder = "nextbuilder"
	// Responses is OpenAI's Responses API, which a provider may have beside its own form.
	Responses = "responses"
)

// Format is the form in which a client or a provider speaks, translated from and
// to OpenAI's. Where both speak the same one, bytes pass untouched. It is safe for
// concurrent use.
type Format interface {
	// Name is what tells the format from others.
	Name() string
	// EncodeRequest gives the provider's request for what ask wants. It fails
	// with a [*RequestError] that names what the provider could not be asked at
	// all, whatever is left out.
	EncodeRequest(ask Ask) (Encoded, error)
	// DecodeAnswer reads the whole body of an answer with status 200 and gives
	// it in OpenAI's form, with what the gateway needs to know of it. A failure
	// that the body reports is in Answer.Failure, and the translation then is
	// nil. It fails with [ErrMalformed] when body is not of the format.
	DecodeAnswer(body []byte, ask Ask) (translated []byte, a Answer, err error)
	// DecodeStream gives the reader of one streamed answer.
	DecodeStream(ask Ask) StreamDecoder
}

// ModelFitter is a [Format] in which some models take less than others.
type ModelFitter interface {
	// FitModel gives a request in the format's own form without what the model of that name is known to refuse, for one that
	// was written for another model.
	FitModel(body []byte, model string) Encoded
}

// EachCharger is a [Format] whose vendor may charge more models than the last where several stand in for each other.
type EachCharger interface {
	// ChargesEach reports whether it charges each model that has begun an answer.
	ChargesEach() bool
}

// Ask is one chat request on its way to a provider.
type Ask struct {
	Request
	// UpstreamModel is the model by the provider's name.
	UpstreamModel string
	// CountUsage says that the gateway needs the usage of a stream, also where the client does not ask for it: the
	// provider is asked for it then, and the client gets no chunk of it.
	CountUsage bool
	// ByGateway says that the gateway chose the provider or the model, as in a
	// fallback: the request was written for another.
	ByGateway bool
	// ID names the call; it is the same for each of its attempts.
	ID string
	// Tenant is whose call it is.
	Tenant string
}

// Encoded is a request in a provider's form.
type Encoded struct {
	Body []byte
	// Unsupported names, sorted and each once, what of the request could not be
	// carried over and was left out: a field as "seed", a part of one as
	// "messages.content.input_audio". Never a value.
	Unsupported []string
	// ToolNames are those that the provider is given in the place of the client's. Its answers have them.
	ToolNames ToolNames
	// Thinks says that the provider is asked to think as [Request.Thinking] has it.
	Thinks bool
	// Functions says that the provider is given tools in the place of the client's functions, which is the form before them. Its
	// answers have tool_calls, and the client looks for function_call.
	Functions bool
}

// StreamDecoder reads a provider's stream as OpenAI's. It belongs to one
// goroutine.
type StreamDecoder interface {
	// Decode reads one event. It appends to dst the events that it is in
	// OpenAI's form, each whole and with its blank line, none for an event that
	// has no counterpart, and says what they are. The chunk of the provider's
	// last event is Done, and the events appended for it end in data: [DONE]. A
	// chunk with a Failure appends nothing. It fails with [ErrMalformed] when
	// the event is not of the format.
	Decode(dst []byte, ev Event) ([]byte, Chunk, error)
	// End is for a stream that has ended cleanly without the event that its
	// format ends with, as many servers leave it out. Where the answer is whole
	// all the same, End appends what is missing in OpenAI's form and says what
	// it is; ok is false where it is not.
	End(dst []byte) (appended []byte, last Chunk, ok bool)
}

// OwnEnder is a [StreamDecoder] of a format whose last event some servers leave out, or put another one in its place, and of whose
// others they leave out what its clients look into.
type OwnEnder interface {
	// AppendOwn appends the event that was decoded last for a client that speaks the format: as it came, with what it lacks.
	AppendOwn(dst []byte, ev Event) []byte
	// AppendOwnEnd appends that event in the format's own form, for a client that speaks it.
	AppendOwnEnd(dst []byte) []byte
}

// Passing is a [StreamDecoder] that mostly passes events on as they came.
type Passing interface {
	// Alike is that of the [ChunkReader] by which it reads them: such events it would pass on.
	Alike(unread []byte) Alike
	// Recycle leaves the decoder's memory to a stream to come. Nothing uses the decoder after it.
	Recycle()
}
