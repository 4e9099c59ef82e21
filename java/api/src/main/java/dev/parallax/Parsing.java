package dev.parallax;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParseException;
import com.google.gson.JsonParser;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.BiFunction;
import java.util.function.Function;

/** The core's JSON texts as records. They come from the core alone, so whatever does not fit is a defect. */
final class Parsing {
    private Parsing() {}

    static EngineInfo engineInfo(String json, Path nativeLibrary) {
        return parse(json, o -> new EngineInfo(text(o, "parallax"), integer(o, "abi"), text(o, "onnxruntime"),
                integer(o, "ort_api"), integer(o, "threads"), Path.of(text(o, "ort_library")), nativeLibrary,
                text(o, "compiler")));
    }

    private static RunReport.Device device(JsonObject o) {
        return new RunReport.Device(text(o, "kind"), text(o, "name"), number(o, "bytes"), number(o, "fallbacks"),
                text(o, "problem"));
    }

    static Accelerator.All accelerators(String json) {
        return parse(json, o -> new Accelerator.All(list(o, "devices", d -> new Accelerator(text(d, "device"),
                text(d, "name"), text(d, "driver"), d.get("shares_memory").getAsBoolean(), number(d, "work_group"),
                number(d, "local_bytes"), number(d, "memory_bytes"))), text(o, "problem")));
    }

    private static Plan.Trial trial(JsonObject o) {
        return new Plan.Trial(o.get("device_s").getAsDouble(), o.get("cpu_s").getAsDouble(), text(o, "problem"));
    }

    static Calibration calibration(String json) {
        return parse(json, o -> new Calibration(text(o, "device"), o.get("latency_s").getAsDouble(),
                o.get("border_bytes_per_s").getAsDouble(), rates(o.getAsJsonObject("device_rates")),
                rates(o.getAsJsonObject("cpu_rates")), text(o, "kernels"), o.get("kernels_ratio").getAsDouble(),
                text(o, "file"), o.get("took_s").getAsDouble()));
    }

    private static Calibration.Rates rates(JsonObject o) {
        Map<String, Double> perSecond = new LinkedHashMap<>();
        o.asMap().forEach((key, value) -> {
            if (!key.equals("launch_s")) {
                perSecond.put(key, value.getAsDouble());
            }
        });
        return new Calibration.Rates(o.get("launch_s").getAsDouble(), perSecond);
    }

    static ModelInfo modelInfo(String json) {
        return parse(json, o -> {
            Map<String, Long> opsets = new LinkedHashMap<>();
            o.getAsJsonObject("opsets").asMap().forEach((domain, version) -> opsets.put(domain, version.getAsLong()));
            return new ModelInfo(text(o, "name"), number(o, "ir_version"), opsets, text(o, "producer"),
                    number(o, "nodes"), number(o, "initializer_bytes"), list(o, "inputs", Parsing::valueInfo),
                    list(o, "outputs", Parsing::valueInfo));
        });
    }

    private static RunReport.Cache cache(JsonObject o) {
        return new RunReport.Cache(number(o, "loaded"), number(o, "stored"), number(o, "bytes"), text(o, "problem"));
    }

    static RunReport runReport(String json) {
        return parse(json, o -> new RunReport(number(o, "runs"), number(o, "started_ns"),
                list(o, "units", u -> new RunReport.UnitRun(integer(u, "unit"), text(u, "device"),
                        integer(u, "threads"), integer(u, "worker"), number(u, "start_ns"), number(u, "end_ns"),
                        number(u, "bytes"), number(u, "memory_bytes"), u.has("device_ns") ? number(u, "device_ns") : 0,
                        u.has("predicted_ns") ? number(u, "predicted_ns") : 0,
                        u.has("copied_bytes") ? number(u, "copied_bytes") : 0,
                        u.has("fell_back") ? text(u, "fell_back") : "")),
                number(o, "arena_bytes"), number(o, "sessions_bytes"), number(o, "planned_bytes"),
                number(o, "one_buffer_per_tensor_bytes"), number(o, "lower_bound_bytes"), new RunReport.Shapes(number(o, "shapes_cached"),
                        number(o, "shape_hits"), number(o, "shape_misses"), number(o, "shape_evictions"),
                        number(o, "shapes_planned"), number(o, "layouts_refined"), number(o, "sizing_ns")),
                new RunReport.Budget(number(o, "memory_budget_bytes"), number(o, "arena_high_water_bytes"),
                        integer(o, "barriers_for_memory"), number(o, "reruns_for_memory"),
                        number(o, "limits_followed")),
                cache(o.getAsJsonObject("cache")), number(o, "aliases"), number(o, "units_elided"),
                o.get("device").isJsonNull() ? null : device(o.getAsJsonObject("device"))));
    }

    /** The block's address becomes a segment by {@code view}, which takes address and size. */
    static MemoryMap memoryMap(String json, Plan plan, BiFunction<Long, Long, MemorySegment> view) {
        return parse(json, o -> new MemoryMap(plan, ints(o, "order"),
                list(o, "buffers", b -> new MemoryMap.Buffer(
                        MemoryMap.Kind.valueOf(text(b, "kind").toUpperCase(Locale.ROOT)), text(b, "name"),
                        integer(b, "unit"), integer(b, "first"), integer(b, "last"), number(b, "offset"),
                        number(b, "bytes"))),
                number(o, "planned_bytes"), number(o, "one_buffer_per_tensor_bytes"), number(o, "lower_bound_bytes"),
                view.apply(number(o, "block_address"), number(o, "planned_bytes"))));
    }

    static List<String> strings(String json) {
        return parse(json, o -> texts(o, "strings"));
    }

    static Plan.Content plan(String json) {
        return parse(json, o -> {
            JsonObject options = o.getAsJsonObject("options");
            JsonElement device = options.get("device");
            JsonObject census = o.getAsJsonObject("census");
            return new Plan.Content(
                    Units.valueOf(text(options, "units").toUpperCase(Locale.ROOT)),
                    Rule.valueOf(text(options, "rule").toUpperCase(Locale.ROOT)),
                    options.get("beta").getAsDouble(), integer(options, "min_nodes"),
                    device == null || device.isJsonNull() ? "" : text(device.getAsJsonObject(), "name"),
                    device != null && device.isJsonObject() && device.getAsJsonObject().has("measured"),
                    text(o, "graph_digest"),
                    indexed(o, "nodes", (n, i) -> new Plan.Node(i, text(n, "name"), text(n, "op"),
                            Plan.NodeClass.valueOf(text(n, "class").toUpperCase(Locale.ROOT).replace('-', '_')))),
                    indexed(o, "regions", (r, i) -> new Plan.Region(i, ints(r, "nodes"), r.get("macs").getAsDouble(),
                            number(r, "border_bytes"), r.get("device_s").getAsDouble(), r.get("cpu_s").getAsDouble(),
                            r.has("trial") ? trial(r.getAsJsonObject("trial")) : null,
                            r.get("accepted").getAsBoolean(), text(r, "reason"))),
                    indexed(o, "branches", (b, i) -> new Plan.Branch(i, ints(b, "nodes"), integer(b, "layer"),
                            ints(b, "predecessors"), integer(b, "region"), b.get("flops").getAsDouble(),
                            number(b, "border_bytes"))),
                    indexed(o, "layers",
                            (l, i) -> new Plan.Layer(i, ints(l, "branches"), groups(l), text(l, "reason"))),
                    indexed(o, "units", (u, i) -> new Plan.Unit(i, ints(u, "nodes"), texts(u, "input_names"),
                            texts(u, "output_names"), ints(u, "predecessors"), integer(u, "branch"),
                            integer(u, "layer"), integer(u, "region"), u.get("flops").getAsDouble(),
                            number(u, "peak_bytes"), u.get("wide").getAsBoolean(), integer(u, "stretch"),
                            u.get("narrow_ns").getAsDouble(), u.get("wide_ns").getAsDouble())),
                    list(o, "aliases",
                            a -> new Plan.Alias(integer(a, "node"), text(a, "input_name"), text(a, "output_name"))),
                    new Plan.Census(number(census, "nodes"), number(census, "branches"), number(census, "layers"),
                            number(census, "parallel_layers"), number(census, "most_branches")),
                    number(o, "unknown_sizes"));
        });
    }

    static List<ValueInfo> tensors(String json) {
        return parse(json, o -> o.entrySet().stream()
                .map(e -> tensor(e.getKey(), e.getValue().getAsJsonObject())).toList());
    }

    /** The type is an element type's name, or what the value is if that is no tensor. */
    private static ValueInfo tensor(String name, JsonObject o) {
        String type = text(o, "type").toUpperCase(Locale.ROOT);
        for (ValueKind kind : ValueKind.values()) {
            if (kind != ValueKind.TENSOR && kind.name().equals(type)) {
                return new ValueInfo(name, kind, ElementType.UNDEFINED, dimensions(o.get("shape")));
            }
        }
        return new ValueInfo(name, ValueKind.TENSOR, ElementType.valueOf(type), dimensions(o.get("shape")));
    }

    private static List<List<Integer>> groups(JsonObject layer) {
        List<List<Integer>> groups = new ArrayList<>();
        for (JsonElement group : layer.getAsJsonArray("groups")) {
            groups.add(ints(group.getAsJsonArray()));
        }
        return groups;
    }

    private static ValueInfo valueInfo(JsonObject o) {
        ValueKind kind = ValueKind.valueOf(text(o, "kind").toUpperCase(Locale.ROOT));
        JsonElement type = o.get("type");
        return new ValueInfo(text(o, "name"), kind,
                type == null || type.isJsonNull() ? ElementType.UNDEFINED : ElementType.ofCode(type.getAsInt()),
                dimensions(o.get("shape")));
    }

    /** Numbers, symbols or formulas, and -1 or "?" where nothing is known; null without a rank. */
    private static List<Dimension> dimensions(JsonElement shape) {
        if (shape == null || shape.isJsonNull()) {
            return null;
        }
        List<Dimension> dimensions = new ArrayList<>();
        for (JsonElement d : shape.getAsJsonArray()) {
            if (d.getAsJsonPrimitive().isString()) {
                dimensions.add(d.getAsString().equals("?") ? Dimension.UNKNOWN : Dimension.symbol(d.getAsString()));
            } else {
                dimensions.add(d.getAsLong() < 0 ? Dimension.UNKNOWN : Dimension.of(d.getAsLong()));
            }
        }
        return dimensions;
    }

    // ---- reading --------------------------------------------------------------------------------------------------

    private static <T> T parse(String json, Function<JsonObject, T> reader) {
        try {
            return reader.apply(JsonParser.parseString(json).getAsJsonObject());
        } catch (JsonParseException | IllegalArgumentException | IllegalStateException | NullPointerException
                | UnsupportedOperationException | ClassCastException e) {
            throw new ParallaxException(ErrorCode.INTERNAL, "the core described something in an unexpected way (" + e
                    + "): " + (json.length() > 200 ? json.substring(0, 200) + "..." : json), e);
        }
    }

    private static String text(JsonObject o, String key) {
        return o.get(key).getAsString();
    }

    private static long number(JsonObject o, String key) {
        return o.get(key).getAsLong();
    }

    private static int integer(JsonObject o, String key) {
        return o.get(key).getAsInt();
    }

    private static <T> List<T> list(JsonObject o, String key, Function<JsonObject, T> reader) {
        return indexed(o, key, (element, index) -> reader.apply(element));
    }

    private static <T> List<T> indexed(JsonObject o, String key, BiFunction<JsonObject, Integer, T> reader) {
        List<T> list = new ArrayList<>();
        for (JsonElement element : o.getAsJsonArray(key)) {
            list.add(reader.apply(element.getAsJsonObject(), list.size()));
        }
        return List.copyOf(list);
    }

    private static List<Integer> ints(JsonObject o, String key) {
        return ints(o.getAsJsonArray(key));
    }

    private static List<Integer> ints(JsonArray array) {
        List<Integer> list = new ArrayList<>(array.size());
        array.forEach(element -> list.add(element.getAsInt()));
        return List.copyOf(list);
    }

    private static List<String> texts(JsonObject o, String key) {
        List<String> list = new ArrayList<>();
        o.getAsJsonArray(key).forEach(element -> list.add(element.getAsString()));
        return List.copyOf(list);
    }
}
