/* Ask a SavedModel from C: by TensorFlow's C API alone, without Python.

   ask_savedmodel DIRECTORY SIGNATURE [INPUT:TYPE:SHAPE=FILE ...] [SIGNATURE ...]

   asks one signature after another and prints each output as a line: its name, type and
   shape, then its values. A FILE holds the values of an input as the machine has them
   in memory; TYPE is float32 or int32, SHAPE has commas: images:float32:8,64,64,3=i.bin

   The wheel of TensorFlow holds what is needed to build it:

   T=$(python -c "import tensorflow as tf; print(tf.sysconfig.get_lib())")
   cc -std=c11 -O2 -I$T/include ask_savedmodel.c -o ask_savedmodel \
      -L$T -l:libtensorflow_cc.so.2 -l:libtensorflow_framework.so.2 -Wl,-rpath,$T */

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensorflow/c/c_api.h"

enum { MOST = 64, LONGEST = 256 };

static void fail(const char* words, ...) {
  va_list values;
  va_start(values, words);
  vfprintf(stderr, words, values);
  va_end(values);
  fputc('\n', stderr);
  exit(1);
}

static void check(TF_Status* status, const char* what) {
  if (TF_GetCode(status) != TF_OK) fail("%s: %s", what, TF_Message(status));
}

/* A tensor of a signature: what the contract calls it, and what the graph does. */
typedef struct {
  char name[LONGEST], place[LONGEST];
} Tensor;

typedef struct {
  Tensor inputs[MOST], outputs[MOST];
  int n_inputs, n_outputs;
} Signature;

/* A message of protocol buffers, read from its bytes field by field. */
typedef struct {
  const uint8_t *at, *end;
} Message;

static uint64_t number(Message* message) {
  uint64_t value = 0;
  for (int shift = 0; shift < 64 && message->at < message->end; shift += 7) {
    const uint8_t byte = *message->at++;
    value |= (uint64_t)(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
  fail("the metagraph is damaged");
  return 0;
}

/* Step to the next field; return its number, 0 at the end. `inside` is what it holds. */
static int next(Message* message, Message* inside) {
  if (message->at >= message->end) return 0;
  const uint64_t key = number(message);
  uint64_t size = 0;
  if ((key & 7) == 0) number(message);
  if ((key & 7) == 1) size = 8;
  if ((key & 7) == 5) size = 4;
  if ((key & 7) == 2) size = number(message);
  if (size > (uint64_t)(message->end - message->at)) fail("the metagraph is cut short");
  inside->at = message->at;
  inside->end = message->at += size;
  return (int)(key >> 3);
}

static void copy_text(Message text, char* to) {
  const size_t size = (size_t)(text.end - text.at);
  if (size >= LONGEST) fail("a name of %zu letters", size);
  memcpy(to, text.at, size);
  to[size] = 0;
}

/* An entry of a map from names to TensorInfo, whose field 1 is the tensor's place. */
static void read_tensor(Message entry, Tensor* tensors, int* n) {
  Message part, of;
  if (*n == MOST) fail("more than %d tensors", MOST);
  for (int field; (field = next(&entry, &part));) {
    if (field == 1) copy_text(part, tensors[*n].name);
    if (field != 2) continue;
    for (int inner; (inner = next(&part, &of));)
      if (inner == 1) copy_text(of, tensors[*n].place);
  }
  ++*n;
}

/* Find a signature in the metagraph: field 5 maps names to SignatureDef, which has
   inputs in field 1 and outputs in field 2 (tensorflow/core/protobuf/meta_graph.proto). */
static Signature find_signature(const TF_Buffer* graph, const char* wanted) {
  const uint8_t* data = graph->data;
  Message all = {data, data + graph->length}, entry, part, tensor;
  for (int field; (field = next(&all, &entry));) {
    if (field != 5) continue;
    char name[LONGEST] = "";
    Signature found = {0};
    for (int inner; (inner = next(&entry, &part));) {
      if (inner == 1) copy_text(part, name);
      if (inner != 2) continue;
      for (int side; (side = next(&part, &tensor));) {
        if (side == 1) read_tensor(tensor, found.inputs, &found.n_inputs);
        if (side == 2) read_tensor(tensor, found.outputs, &found.n_outputs);
      }
    }
    if (strcmp(name, wanted) == 0) return found;
  }
  fail("%s: the SavedModel has no such signature", wanted);
  return (Signature){0};
}

/* Turn "operation:1" into a place in the graph. */
static TF_Output output_of(TF_Graph* graph, const char* place) {
  char name[LONGEST];
  snprintf(name, sizeof name, "%s", place);
  char* colon = strrchr(name, ':');
  const int index = colon ? atoi(colon + 1) : 0;
  if (colon) *colon = 0;
  TF_Output output = {TF_GraphOperationByName(graph, name), index};
  if (!output.oper) fail("%s: the graph has no such operation", name);
  return output;
}

/* Read an input that is given as NAME:TYPE:SHAPE=FILE; `name` gets what it is called. */
static TF_Tensor* read_input(const char* given, char* name) {
  char words[4 * LONGEST];
  snprintf(words, sizeof words, "%s", given);
  char* path = strchr(words, '=');
  *path++ = 0;
  char* type = strchr(words, ':');
  char* shape = type ? strchr(type + 1, ':') : NULL;
  if (!shape) fail("%s: expected NAME:TYPE:SHAPE=FILE", given);
  *type++ = *shape++ = 0;
  snprintf(name, LONGEST, "%.*s", LONGEST - 1, words);
  int64_t sizes[8];
  int rank = 0;
  size_t values = 1;
  for (char* size = strtok(shape, ","); size; size = strtok(NULL, ",")) {
    if (rank == 8) fail("%s: more than 8 axes", given);
    sizes[rank] = atoll(size);
    values *= (size_t)sizes[rank++];
  }
  const TF_DataType kind = strcmp(type, "int32") == 0 ? TF_INT32 : TF_FLOAT;
  TF_Tensor* tensor = TF_AllocateTensor(kind, sizes, rank, 4 * values);
  FILE* file = fopen(path, "rb");
  if (!file) fail("%s: no such file", path);
  if (fread(TF_TensorData(tensor), 4, values, file) != values || fgetc(file) != EOF)
    fail("%s: expected %zu values", path, values);
  fclose(file);
  return tensor;
}

static void print_text(const TF_TString* text) {
  const char* letters = TF_TString_GetDataPointer(text);
  putchar(' ');
  for (size_t i = 0; i < TF_TString_GetSize(text); ++i) {
    const unsigned char letter = (unsigned char)letters[i];
    /* each text is one word of the line */
    if (letter <= ' ' || letter == '%') printf("%%%02x", letter);
    else putchar(letter);
  }
}

static void print_tensor(const char* name, const TF_Tensor* tensor) {
  const TF_DataType type = TF_TensorType(tensor);
  const char* words = type == TF_FLOAT ? "float32" : type == TF_INT32 ? "int32" : "string";
  printf("%s %s ", name, words);
  for (int i = 0; i < TF_NumDims(tensor); ++i)
    printf(i ? ",%lld" : "%lld", (long long)TF_Dim(tensor, i));
  printf(" :");
  const void* data = TF_TensorData(tensor);
  for (int64_t i = 0; i < TF_TensorElementCount(tensor); ++i) {
    if (type == TF_FLOAT) printf(" %.9g", (double)((const float*)data)[i]);
    else if (type == TF_INT32) printf(" %d", ((const int32_t*)data)[i]);
    else print_text((const TF_TString*)data + i);
  }
  putchar('\n');
}

/* Ask one signature with the inputs in `given`, and print what it answers. */
static void ask(TF_Session* session, TF_Graph* graph, const TF_Buffer* metagraph,
                const char* name, char** given, int n_given, TF_Status* status) {
  const Signature signature = find_signature(metagraph, name);
  TF_Output inputs[MOST], outputs[MOST];
  TF_Tensor *fed[MOST], *answers[MOST] = {0};
  if (n_given != signature.n_inputs)
    fail("%s: expected %d inputs, received %d", name, signature.n_inputs, n_given);
  for (int i = 0; i < n_given; ++i) {
    char called[LONGEST];
    fed[i] = read_input(given[i], called);
    int at = 0;
    while (at < signature.n_inputs && strcmp(signature.inputs[at].name, called)) ++at;
    if (at == signature.n_inputs) fail("%s: it has no input %s", name, called);
    inputs[i] = output_of(graph, signature.inputs[at].place);
  }
  for (int i = 0; i < signature.n_outputs; ++i)
    outputs[i] = output_of(graph, signature.outputs[i].place);
  TF_SessionRun(session, NULL, inputs, fed, n_given, outputs, answers,
                signature.n_outputs, NULL, 0, NULL, status);
  check(status, name);
  printf("# %s\n", name);
  for (int i = 0; i < signature.n_outputs; ++i) {
    print_tensor(signature.outputs[i].name, answers[i]);
    TF_DeleteTensor(answers[i]);
  }
  for (int i = 0; i < n_given; ++i) TF_DeleteTensor(fed[i]);
}

int main(int n, char** words) {
  if (n < 3) fail("expected DIRECTORY SIGNATURE [INPUT:TYPE:SHAPE=FILE ...] ...");
  TF_Status* status = TF_NewStatus();
  TF_Graph* graph = TF_NewGraph();
  TF_SessionOptions* options = TF_NewSessionOptions();
  TF_Buffer* metagraph = TF_NewBuffer();
  const char* tags[] = {"serve"};
  TF_Session* session = TF_LoadSessionFromSavedModel(options, NULL, words[1], tags, 1,
                                                     graph, metagraph, status);
  check(status, words[1]);
  for (int i = 2; i < n;) {
    int end = i + 1;
    while (end < n && strchr(words[end], '=')) ++end;
    ask(session, graph, metagraph, words[i], words + i + 1, end - i - 1, status);
    i = end;
  }
  TF_CloseSession(session, status);
  TF_DeleteSession(session, status);
  TF_DeleteSessionOptions(options);
  TF_DeleteBuffer(metagraph);
  TF_DeleteGraph(graph);
  TF_DeleteStatus(status);
  return 0;
}
