// The models that get mutated: small ones made in code; real ones whole, with made-up weights; and pieces of the real
// ones, which run in milliseconds and bring every operator of theirs with its real attributes and sizes.
#pragma once

#include <string>
#include <vector>

namespace plx::fuzz {

struct Base {
  std::string name;
  std::string bytes;
  bool whole = false;  // a real model, which takes its time
};

// Small models. Needs no ONNX Runtime.
std::vector<Base> small_bases();

// Puts the real models into `folder`, beside weights for them; their names. Needs no ONNX Runtime.
std::vector<std::string> unpack_real_models(const std::string& folder, bool all);
// Cuts `count` pieces out of each and puts them there too. Uses ONNX Runtime.
void cut_pieces(const std::string& folder, const std::vector<std::string>& names, size_t count);
// Whatever is in the folder by now; it has to lie beside the weights when it is run.
std::vector<Base> real_bases(const std::string& folder, const std::vector<std::string>& names);

}  // namespace plx::fuzz
