// Reads a saved graph without Python, torch, or a protobuf library: C++17 and nothing else.
//
//     c++ -std=c++17 -O2 read_flexir.cpp -o read_flexir && ./read_flexir net.flexir
//
// Prints every call in order of execution with its arguments, and for every weight its type, shape
// and first bytes. The field numbers are those of src/flexir/files/ir/schema.proto.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

[[noreturn]] static void fail(const std::string& why) {
    std::fprintf(stderr, "error: %s\n", why.c_str());
    std::exit(1);
}

static std::string slurp(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) fail("cannot open " + path);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

// --- the protobuf wire format: a message is a list of (number, varint or bytes) --------------

struct Field {
    uint64_t number = 0;
    std::string bytes;
};

using Message = std::multimap<int, Field>;

static uint64_t varint(const std::string& in, size_t& at) {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        if (at >= in.size()) fail("graph.pb is cut short");
        const uint8_t byte = static_cast<uint8_t>(in[at++]);
        value |= uint64_t(byte & 0x7f) << shift;
        if (!(byte & 0x80)) return value;
    }
    fail("a number in graph.pb is too long");
}

static Message parse(const std::string& in) {
    Message message;
    for (size_t at = 0; at < in.size();) {
        const uint64_t key = varint(in, at);
        Field field;
        size_t size = 0;
        switch (key & 7) {
            case 0: field.number = varint(in, at); break;
            case 1: size = 8; break;
            case 2: size = varint(in, at); break;
            case 5: size = 4; break;
            default: fail("graph.pb has a field of an unknown kind");
        }
        if ((key & 7) != 0) {
            if (size > in.size() - at) fail("graph.pb is cut short");
            field.bytes = in.substr(at, size);
            at += size;
        }
        message.emplace(int(key >> 3), field);
    }
    return message;
}

static uint64_t number(const Message& m, int key) {
    auto found = m.find(key);
    return found == m.end() ? 0 : found->second.number;
}

static std::string text(const Message& m, int key) {
    auto found = m.find(key);
    return found == m.end() ? "" : found->second.bytes;
}

static std::vector<std::string> all(const Message& m, int key) {
    std::vector<std::string> found;
    for (auto [it, end] = m.equal_range(key); it != end; ++it) found.push_back(it->second.bytes);
    return found;
}

static std::vector<uint64_t> packed(const Message& m, int key) {
    std::vector<uint64_t> found;
    for (const std::string& block : all(m, key))
        for (size_t at = 0; at < block.size();) found.push_back(varint(block, at));
    return found;
}

// --- the graph ------------------------------------------------------------------------------

struct Graph {
    Message root;
    std::vector<std::string> strings, types, values;
    std::vector<Message> data, nodes, sources;

    explicit Graph(const std::string& bytes) : root(parse(bytes)) {
        strings = all(root, 2);
        for (const std::string& t : all(root, 3)) types.push_back(type(parse(t)));
        for (const std::string& d : all(root, 4)) data.push_back(parse(d));
        for (const std::string& v : all(root, 5)) {
            const Message m = parse(v);
            values.push_back("%" + text(m, 1) + ": " + types.at(number(m, 2)));
        }
        for (const std::string& n : all(root, 6)) nodes.push_back(parse(n));
    }

    static std::string type(const Message& m) {
        std::string shape;
        for (uint64_t n : packed(m, 2)) shape += (shape.empty() ? "" : ",") + std::to_string(n);
        return text(m, 1) + "[" + shape + "]";
    }

    std::string name(uint64_t value) const {
        return values.at(value).substr(0, values.at(value).find(':'));
    }

    std::string show(uint64_t index) const {
        const Message& d = data.at(index);
        if (d.empty()) return "?";
        const auto& [kind, field] = *d.begin();
        char buffer[64];
        switch (kind) {
            case 1: return "None";
            case 2: return field.number ? "True" : "False";
            case 3: return std::to_string(int64_t(field.number >> 1) ^ -int64_t(field.number & 1));
            case 5: {
                double real;
                std::memcpy(&real, field.bytes.data(), 8);
                std::snprintf(buffer, sizeof buffer, "%.17g", real);
                return buffer;
            }
            case 7: return "'" + field.bytes + "'";
            case 9: return name(field.number);
            case 10: {
                const Message sequence = parse(field.bytes);
                std::string inner;
                for (uint64_t i : packed(sequence, 2)) inner += (inner.empty() ? "" : ", ") + show(i);
                return (text(sequence, 1) == "list" ? "[" + inner + "]" : "(" + inner + ")");
            }
            case 14: return text(parse(field.bytes), 2);
            default: return "...";
        }
    }
};

// --- the weights: a header in JSON, then bytes ------------------------------------------------

struct Weights {
    std::string bytes;
    uint64_t start = 0;

    explicit Weights(const std::string& path) : bytes(slurp(path)) {
        if (bytes.size() < 8) fail(path + " is cut short");
        std::memcpy(&start, bytes.data(), 8);
        if (start > bytes.size() - 8) fail(path + " is cut short");
        start += 8;
    }

    // The header is flat enough to look a key up without a JSON library.
    uint64_t offset(const std::string& key) const {
        const std::string header = bytes.substr(8, start - 8);
        size_t at = header.find("\"" + key + "\":{");
        if (at == std::string::npos) fail("no tensor " + key);
        at = header.find("\"data_offsets\":[", at);
        return start + std::strtoull(header.c_str() + at + 16, nullptr, 10);
    }
};

// Branches, variants and Programs came with version 5; what needs none of them is of an older one.
static void check_version(const std::string& manifest) {
    const std::string key = "\"minimum_reader\":";
    const size_t at = manifest.find(key);
    if (at == std::string::npos) fail("manifest.json has no minimum_reader");
    const long needed = std::strtol(manifest.c_str() + at + key.size(), nullptr, 10);
    if (needed > 4)
        fail("this needs a reader of version " + std::to_string(needed) + "; this one is of 4");
}

int main(int argc, char** argv) {
    if (argc != 2) fail("usage: read_flexir net.flexir");
    const std::string folder = argv[1];
    check_version(slurp(folder + "/manifest.json"));
    const Graph graph(slurp(folder + "/graph.pb"));
    std::printf("graph %s\n", text(graph.root, 1).c_str());
    for (const Message& node : graph.nodes) {
        if (number(node, 9)) continue;  // a module; its calls follow
        std::string left, args;
        for (uint64_t v : packed(node, 7)) left += (left.empty() ? "" : ", ") + graph.values.at(v);
        const std::vector<uint64_t> names = packed(node, 4), parts = packed(node, 5);
        for (size_t i = 0; i < names.size(); ++i)
            args += (i ? ", " : "") + graph.strings.at(names[i]) + "=" + graph.show(parts.at(i));
        std::printf("%s = %s(%s)   # %s\n", left.c_str(), graph.strings.at(number(node, 1)).c_str(),
                    args.c_str(), graph.strings.at(number(node, 10)).c_str());
    }
    std::vector<Weights> files;
    for (const std::string& file : all(graph.root, 17)) files.emplace_back(folder + "/" + file);
    for (const std::string& entry : all(graph.root, 13)) {
        const Message constant = parse(entry);
        std::printf("weight %s", graph.values.at(number(constant, 1)).c_str());
        for (const std::string& piece : all(constant, 5)) {
            const Message part = parse(piece);
            const Weights& file = files.at(number(part, 1));
            const uint64_t at = file.offset(text(part, 2)) + number(part, 7);
            std::printf(" ");
            for (uint64_t i = at; i < at + 8 && i < file.bytes.size(); ++i)
                std::printf("%02x", static_cast<uint8_t>(file.bytes[i]));
        }
        std::printf("\n");
    }
}
