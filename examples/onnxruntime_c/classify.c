/* Classifies a picture with ONNX Runtime's C API: nothing of edgevit is linked or registered.
 *
 *   classify BUNDLE/model.onnx PICTURE.ppm
 * The picture is a binary PPM of the model's size (convert photo.jpg -resize '160x160!' photo.ppm).
 */
#include <onnxruntime_c_api.h>
#include <stdio.h>
#include <stdlib.h>

/* The release that has all functions used here; every later library serves it too. */
#define API_VERSION 21

static const OrtApi* ort;

static void fail(const char* reason) {
  fprintf(stderr, "classify: %s\n", reason);
  exit(2);
}

static void check(OrtStatus* status) {
  if (status) fail(ort->GetErrorMessage(status));
}

static unsigned char* read_ppm(const char* path, int64_t height, int64_t width) {
  FILE* file = fopen(path, "rb");
  long columns, rows;
  char size[64];
  snprintf(size, sizeof size, "the picture is not %lld x %lld pixels", (long long)width, (long long)height);
  if (!file || fscanf(file, "P6 %ld %ld 255", &columns, &rows) != 2) fail("the picture is no binary PPM");
  if (columns != width || rows != height) fail(size);
  fgetc(file);
  size_t bytes = (size_t)height * (size_t)width * 3;
  unsigned char* pixels = malloc(bytes);
  if (!pixels || fread(pixels, 1, bytes, file) != bytes) fail("the picture is cut off");
  fclose(file);
  return pixels;
}

int main(int count, char** arguments) {
  if (count != 3) fail("usage: classify BUNDLE/model.onnx PICTURE.ppm");
  if (!(ort = OrtGetApiBase()->GetApi(API_VERSION))) fail("this ONNX Runtime is older than 1.21");
  OrtEnv* env;
  OrtSessionOptions* options;
  OrtSession* session;
  check(ort->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "classify", &env));
  check(ort->DisableTelemetryEvents(env));
  check(ort->CreateSessionOptions(&options));
  check(ort->SetIntraOpNumThreads(options, 1));
  check(ort->CreateSession(env, arguments[1], options, &session));

  /* The one input is "image", uint8 [1, height, width, 3]; a size left open is stated as -1. */
  OrtTypeInfo* type;
  const OrtTensorTypeAndShapeInfo* tensor;
  int64_t shape[4] = {0};
  check(ort->SessionGetInputTypeInfo(session, 0, &type));
  check(ort->CastTypeInfoToTensorInfo(type, &tensor));
  check(ort->GetDimensions(tensor, shape, 4));
  if (shape[1] < 1 || shape[1] > 4096 || shape[2] < 1 || shape[2] > 4096) fail("the model has no fixed size");
  shape[0] = 1, shape[3] = 3;
  unsigned char* pixels = read_ppm(arguments[2], shape[1], shape[2]);

  OrtMemoryInfo* memory;
  OrtValue *image, *logits = NULL;
  check(ort->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &memory));
  check(ort->CreateTensorWithDataAsOrtValue(memory, pixels, (size_t)(shape[1] * shape[2] * 3), shape, 4,
                                            ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8, &image));
  const char *inputs[] = {"image"}, *outputs[] = {"logits"};
  check(ort->Run(session, NULL, inputs, (const OrtValue* const*)&image, 1, outputs, 1, &logits));

  OrtTensorTypeAndShapeInfo* answer;
  size_t classes, best = 0;
  float* values;
  check(ort->GetTensorTypeAndShape(logits, &answer));
  check(ort->GetTensorShapeElementCount(answer, &classes));
  check(ort->GetTensorMutableData(logits, (void**)&values));
  for (size_t i = 1; i < classes; ++i)
    if (values[i] > values[best]) best = i;
  printf("class %zu, logit %.3f\n", best, values[best]);
}
