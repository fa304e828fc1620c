/* Answers one picture several times with ONNX Runtime, on one thread, with the options that edgevit
 * gives it. The library is loaded by its path: a wheel has it without the links that a linker wants.
 *
 *   answers_onnxruntime LIBONNXRUNTIME MODEL.onnx PICTURE.rgb ANSWERS
 * Prints the class, its logit and "onnxruntime".
 */
#include <dlfcn.h>
#include <onnxruntime_c_api.h>

#include "answers.h"

/* The release that has all functions used here; every later library serves it too. */
#define API_VERSION 21

static const OrtApi* ort;

static void check(OrtStatus* status) {
  if (status) fail(ort->GetErrorMessage(status));
}

static OrtSession* opened(const char* library, const char* model) {
  void* loaded = dlopen(library, RTLD_NOW);
  if (!loaded) fail(dlerror());
  const OrtApiBase* (*base)(void) = (const OrtApiBase* (*)(void))dlsym(loaded, "OrtGetApiBase");
  if (!base || !(ort = base()->GetApi(API_VERSION))) fail("this ONNX Runtime is older than 1.21");
  OrtEnv* env;
  OrtSessionOptions* options;
  OrtSession* session;
  check(ort->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "answers", &env));
  check(ort->CreateSessionOptions(&options));
  check(ort->SetIntraOpNumThreads(options, 1));
  check(ort->SetInterOpNumThreads(options, 1));
  check(ort->CreateSession(env, model, options, &session));
  return session;
}

static void input_shape(OrtSession* session, int64_t shape[4]) {
  OrtTypeInfo* type;
  const OrtTensorTypeAndShapeInfo* tensor;
  check(ort->SessionGetInputTypeInfo(session, 0, &type));
  check(ort->CastTypeInfoToTensorInfo(type, &tensor));
  check(ort->GetDimensions(tensor, shape, 4));
  ort->ReleaseTypeInfo(type);
  if (shape[1] < 1 || shape[2] < 1) fail("the model has no fixed size");
  shape[0] = 1, shape[3] = 3;
}

static void print_answer(OrtValue* answer) {
  OrtTensorTypeAndShapeInfo* facts;
  size_t classes;
  float* logits;
  check(ort->GetTensorTypeAndShape(answer, &facts));
  check(ort->GetTensorShapeElementCount(facts, &classes));
  check(ort->GetTensorMutableData(answer, (void**)&logits));
  print_best(logits, classes, "onnxruntime");
  ort->ReleaseTensorTypeAndShapeInfo(facts);
}

int main(int count, char** arguments) {
  if (count != 5) fail("usage: answers_onnxruntime LIBONNXRUNTIME MODEL.onnx PICTURE.rgb ANSWERS");
  OrtSession* session = opened(arguments[1], arguments[2]);
  int64_t shape[4] = {0};
  input_shape(session, shape);
  size_t bytes = (size_t)shape[1] * (size_t)shape[2] * 3;
  unsigned char* pixels = read_pixels(arguments[3], bytes);
  OrtMemoryInfo* memory;
  OrtValue *image, *answer = NULL;
  check(ort->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory));
  check(ort->CreateTensorWithDataAsOrtValue(memory, pixels, bytes, shape, 4,
                                            ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8, &image));
  const char *input = "image", *output = "logits";
  for (int answers = atoi(arguments[4]); answers > 0; --answers) {
    if (answer) ort->ReleaseValue(answer);
    answer = NULL;
    check(ort->Run(session, NULL, &input, (const OrtValue* const*)&image, 1, &output, 1, &answer));
  }
  if (answer) print_answer(answer);
}
