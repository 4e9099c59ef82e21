package dev.parallax.internal.bindings;

import static java.util.stream.Collectors.joining;
import static java.util.stream.Collectors.partitioningBy;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import java.io.IOException;
import java.lang.foreign.GroupLayout;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemoryLayout.PathElement;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.PaddingLayout;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodType;
import java.lang.reflect.Method;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Fails when the generated bindings no longer fit {@code plx.h}, without needing jextract.
 *
 * <p>Both sides are turned into a map of facts, such as {@code field plx_tensor.rank} to its C declaration, offset,
 * size and Java type, and the two maps must be equal. For the header the C compiler says sizes, offsets and values
 * ({@code bindings/drift/layouts.c}), and the header's text says declarations. For the bindings the loaded classes say
 * layouts, values and Java types, and the C declarations stand in the comments that jextract writes; these tell apart
 * what a function descriptor cannot, two pointers of different types.
 *
 * <p>The reader of the header is strict: text that it cannot read is a failure, never passed over. The Parallax library
 * itself is not loaded.
 *
 * <p>System properties: {@code plx.header} is the path of {@code plx.h}, {@code plx.drift.source} that of
 * {@code layouts.c}; the generated sources are found beside the latter. Needs {@code cc} on the path.
 */
class DriftTest {
    private static final Path HEADER = path("plx.header");
    private static final Path LAYOUTS_C = path("plx.drift.source");
    private static final Path GENERATED =
            LAYOUTS_C.resolveSibling("../generated/java/dev/parallax/internal/bindings").normalize();

    /** The Java type of every C type that is not a pointer; all pointers are {@link MemorySegment}. */
    private static final Map<String, Class<?>> SCALARS = Map.ofEntries(
            Map.entry("void", void.class), Map.entry("char", byte.class),
            Map.entry("int8_t", byte.class), Map.entry("uint8_t", byte.class),
            Map.entry("int16_t", short.class), Map.entry("uint16_t", short.class),
            Map.entry("int32_t", int.class), Map.entry("uint32_t", int.class),
            Map.entry("int64_t", long.class), Map.entry("uint64_t", long.class), Map.entry("size_t", long.class),
            Map.entry("float", float.class), Map.entry("double", double.class));

    @TempDir
    private Path work;

    @Test
    void bindingsFitTheHeader() throws Exception {
        List<String> drift = differences(HEADER);
        assertTrue(drift.isEmpty(), () -> "The bindings do not fit " + HEADER
                + "; run bindings/regenerate (see bindings/README.md):\n  " + String.join("\n  ", drift));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("mutations")
    void everyChangeOfTheHeaderIsNoticed(String change, String regex, String replacement, String fact)
            throws Exception {
        String header = Files.readString(HEADER);
        String mutated = Pattern.compile(regex, Pattern.DOTALL).matcher(header).replaceFirst(replacement);
        assertNotEquals(header, mutated, "plx.h no longer holds what this mutation changes: choose another line");

        List<String> drift = differences(Files.writeString(work.resolve("plx.h"), mutated));

        assertTrue(drift.stream().anyMatch(line -> line.startsWith(fact + ":")),
                () -> change + ": expected a difference in '" + fact + "', found " + drift);
    }

    static Stream<Arguments> mutations() {
        return Stream.of(
                arguments("field added at the end", "uint64_t outputs_generation;", "$0 int32_t added;",
                        "field plx_run_info.added"),
                arguments("field added where there was padding", "typedef struct plx_session_options \\{[^}]*",
                        "$0 int32_t added; ", "field plx_session_options.added"),
                arguments("field removed", "uint64_t outputs_generation;", "",
                        "field plx_run_info.outputs_generation"),
                arguments("two fields of one type swapped", "uint32_t unit;(.*?)uint32_t device;",
                        "uint32_t device;$1uint32_t unit;", "field plx_schedule_entry.device"),
                arguments("field of another type, same size", "double beta;", "int64_t beta;",
                        "field plx_plan_options.beta"),
                arguments("pointer field of another type", "void\\* data;", "char* data;", "field plx_tensor.data"),
                arguments("struct added", "PLX_API uint32_t", "typedef struct plx_added { int32_t x; } plx_added;\n$0",
                        "struct plx_added"),
                arguments("struct made opaque", "typedef struct plx_run_info \\{.*?\\}", "typedef struct plx_run_info",
                        "struct plx_run_info"),
                arguments("function added", "PLX_API uint32_t", "PLX_API void plx_added(int32_t x);\n$0",
                        "function plx_added"),
                arguments("function removed", "PLX_API uint32_t plx_abi_version\\(void\\);", "",
                        "function plx_abi_version"),
                arguments("parameter added", "plx_abi_version\\(void\\)", "plx_abi_version(int32_t x)",
                        "function plx_abi_version"),
                arguments("parameter of another type", "plx_session_output\\(plx_session\\* session, size_t index",
                        "plx_session_output(plx_session* session, int32_t index", "function plx_session_output"),
                arguments("two pointer parameters swapped", "plx_model\\* model, plx_plan\\* plan",
                        "plx_plan* plan, plx_model* model", "function plx_session_create"),
                arguments("result of another type", "int32_t plx_status_code", "int64_t plx_status_code",
                        "function plx_status_code"),
                arguments("enum constant of another value", "PLX_OK = 0", "PLX_OK = 100", "constant PLX_OK"),
                arguments("enum constant added", "PLX_OK = 0,", "$0 PLX_ADDED = 100,", "constant PLX_ADDED"),
                arguments("enum constant removed", "PLX_OK = 0,", "", "constant PLX_OK"),
                arguments("enum added", "enum plx_code \\{", "enum plx_added { PLX_ADDED };\n$0",
                        "constant PLX_ADDED"),
                arguments("macro of another value", "#define PLX_ABI_VERSION \\d+", "$09",
                        "constant PLX_ABI_VERSION"),
                arguments("macro of another size", "#define PLX_ABI_VERSION \\d+", "$0LL",
                        "constant PLX_ABI_VERSION"),
                arguments("macro added", "#define PLX_ABI_VERSION", "#define PLX_ADDED 1\n$0",
                        "constant PLX_ADDED"));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("unreadable")
    void textThatTheReaderDoesNotKnowIsRefused(String text, String named) throws Exception {
        String header = Files.readString(HEADER);
        int firstFunction = header.indexOf("PLX_API uint32_t");
        Path changed = Files.writeString(work.resolve("plx.h"),
                header.substring(0, firstFunction) + text + "\n" + header.substring(firstFunction));

        AssertionError refusal = assertThrows(AssertionError.class, () -> Declarations.read(changed));

        assertTrue(refusal.getMessage().contains(named), refusal.getMessage());
    }

    static Stream<Arguments> unreadable() {
        return Stream.of(
                arguments("int plx_unmarked(void);", "from here on: int plx_unmarked(void);"),
                arguments("typedef int32_t plx_number;", "from here on: typedef int32_t plx_number;"),
                arguments("typedef struct plx_pair { int32_t a, b; } plx_pair;", "'int32_t a,b'"),
                arguments("typedef struct plx_array { int32_t a[4]; } plx_array;", "'int32_t a[4]'"),
                arguments("typedef struct plx_plain { int a; } plx_plain;", "no Java type for 'int'"),
                arguments("PLX_API void plx_varargs(const char* format, ...);", "'...'"),
                arguments("PLX_API void plx_callback(void (*callback)(void));", "void plx_callback"),
                arguments("#ifdef PLX_EXTRA", "'#ifdef PLX_EXTRA'"),
                arguments("#define PLX_MAX(a, b) 1", "'#define PLX_MAX(a, b) 1'"));
    }

    // ---- comparing ------------------------------------------------------------------------------------------------

    /** One line for each fact that differs between the header and the bindings, beginning with the fact's name. */
    private List<String> differences(Path header) throws Exception {
        SortedMap<String, String> inHeader = factsOf(header);
        SortedMap<String, String> inBindings = factsOfBindings();
        var names = new TreeSet<>(inHeader.keySet());
        names.addAll(inBindings.keySet());
        return names.stream()
                .filter(name -> !inBindings.getOrDefault(name, "").equals(inHeader.get(name)))
                .map(name -> name + ": header has [" + inHeader.getOrDefault(name, "nothing") + "], bindings have ["
                        + inBindings.getOrDefault(name, "nothing") + "]")
                .toList();
    }

    private static String structFact(long sizeBytes, long alignment) {
        return sizeBytes + " bytes, aligned to " + alignment;
    }

    private static String fieldFact(String declaration, long offset, long sizeBytes, Class<?> carrier) {
        return declaration + ", offset " + offset + ", " + sizeBytes + " bytes, " + carrier.getSimpleName();
    }

    private static String constantFact(long value, long sizeBytes) {
        return (sizeBytes == Integer.BYTES ? (int) value : value) + ", " + sizeBytes + " bytes";
    }

    private static String functionFact(String prototype, MethodType type) {
        return prototype + ", " + type;
    }

    // ---- the header -----------------------------------------------------------------------------------------------

    private SortedMap<String, String> factsOf(Path header) throws IOException, InterruptedException {
        Declarations declared = Declarations.read(header);
        var facts = new TreeMap<String, String>();
        for (String line : compileAndRun(header, declared).lines().toList()) {
            String[] cell = line.split("\t");
            long first = Long.parseLong(cell[2]);
            long second = Long.parseLong(cell[3]);
            facts.put(cell[0] + " " + cell[1], switch (cell[0]) {
                case "struct" -> structFact(first, second);
                case "field" -> {
                    Variable field = declared.field(cell[1]);
                    yield fieldFact(field.text(), first, second, field.carrier());
                }
                case "constant" -> constantFact(first, second);
                default -> throw new AssertionError("layouts.c printed an unknown line: " + line);
            });
        }
        declared.functions.forEach((name, function) ->
                facts.put("function " + name, functionFact(function.text(), function.type())));
        return facts;
    }

    /** Output of layouts.c, built with the names declared in the header. */
    private String compileAndRun(Path header, Declarations declared) throws IOException, InterruptedException {
        var names = new ArrayList<String>();
        declared.structs.forEach((struct, fields) -> {
            names.add("STRUCT(" + struct + ")");
            fields.forEach(field -> names.add("FIELD(" + struct + ", " + field.name() + ")"));
        });
        declared.constants.forEach(constant -> names.add("CONSTANT(" + constant + ")"));
        Files.write(work.resolve("names.inc"), names);
        Path program = work.resolve("layouts");
        run(List.of("cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-I", header.getParent().toString(), "-I",
                work.toString(), "-o", program.toString(), LAYOUTS_C.toString()));
        return run(List.of(program.toString()));
    }

    private static String run(List<String> command) throws IOException, InterruptedException {
        Process process;
        try {
            process = new ProcessBuilder(command).redirectErrorStream(true).start();
        } catch (IOException e) {
            throw new AssertionError("cannot start " + command.getFirst() + ": is a C compiler installed as cc?", e);
        }
        String output = new String(process.getInputStream().readAllBytes());
        assertEquals(0, process.waitFor(), () -> String.join(" ", command) + "\n" + output);
        return output;
    }

    // ---- the bindings ---------------------------------------------------------------------------------------------

    private static SortedMap<String, String> factsOfBindings() throws Exception {
        var facts = new TreeMap<String, String>();
        for (String name : generatedClasses()) {
            if (!name.equals("Plx")) {
                addStruct(facts, name);
            }
        }
        Map<String, String> prototypes = new LinkedHashMap<>();
        for (String prototype : snippets("Plx", "Function descriptor for:")) {
            prototypes.put(Function.parse(prototype).name(), prototype);
        }
        for (Method method : Plx.class.getDeclaredMethods()) {
            String name = method.getName();
            if (name.startsWith("PLX_")) {
                Number value = (Number) method.invoke(null);
                facts.put("constant " + name,
                        constantFact(value.longValue(), value instanceof Integer ? Integer.BYTES : Long.BYTES));
            } else if (name.startsWith("plx_") && !name.contains("$")) {
                // The descriptor itself would want the library loaded; the method hands its arguments to
                // invokeExact, so its types are the descriptor's or it can never be called.
                facts.put("function " + name, functionFact(prototypes.get(name),
                        MethodType.methodType(method.getReturnType(), method.getParameterTypes())));
            }
        }
        return facts;
    }

    private static void addStruct(Map<String, String> facts, String struct) throws Exception {
        Class<?> type = Class.forName(DriftTest.class.getPackageName() + "." + struct);
        var layout = (GroupLayout) type.getMethod("layout").invoke(null);
        facts.put("struct " + struct, structFact(layout.byteSize(), layout.byteAlignment()));
        Map<String, String> declarations = new LinkedHashMap<>();
        for (String declaration : snippets(struct, "Layout for field:")) {
            declarations.put(Variable.parse(declaration).name(), declaration);
        }
        for (MemoryLayout member : layout.memberLayouts()) {
            if (!(member instanceof PaddingLayout)) {
                String name = member.name().orElseThrow();
                facts.put("field " + struct + "." + name, fieldFact(declarations.get(name),
                        layout.byteOffset(PathElement.groupElement(name)), member.byteSize(),
                        ((ValueLayout) member).carrier()));
            }
        }
    }

    private static List<String> generatedClasses() throws IOException {
        try (Stream<Path> files = Files.list(GENERATED)) {
            return files.map(file -> file.getFileName().toString().replaceFirst("\\.java$", "")).sorted().toList();
        }
    }

    /** The C declarations that jextract wrote into the comments of a generated class under the given title. */
    private static List<String> snippets(String generatedClass, String title) throws IOException {
        String source = Files.readString(GENERATED.resolve(generatedClass + ".java"));
        return Pattern.compile(Pattern.quote(title) + "\\s*\\* \\{@snippet lang=c :\\s*\\* (.+)").matcher(source)
                .results().map(found -> normalise(found.group(1))).toList();
    }

    // ---- reading C ------------------------------------------------------------------------------------------------

    /** One spelling for equal declarations: single spaces, none beside punctuation, {@code ()} for {@code (void)}. */
    private static String normalise(String declaration) {
        return declaration.replaceAll("\\s+", " ").replaceAll(" ?([*(),]) ?", "$1").replace("(void)", "()").strip();
    }

    /** A field, a parameter, or a function's result and name. */
    private record Variable(String text, String name, Class<?> carrier) {
        private static final Pattern FORM = Pattern.compile("([\\w *]*[ *])(\\w+)");

        static Variable parse(String text) {
            Matcher form = FORM.matcher(normalise(text));
            if (!form.matches()) {
                fail("DriftTest cannot read the declaration '" + normalise(text) + "': write it as TYPE NAME");
            }
            String type = form.group(1).strip();
            Class<?> carrier = type.contains("*") ? MemorySegment.class : SCALARS.get(type);
            if (carrier == null) {
                fail("DriftTest knows no Java type for '" + type + "' in '" + text + "': use a type of fixed size");
            }
            return new Variable(form.group(), form.group(2), carrier);
        }
    }

    private record Function(String text, String name, MethodType type) {
        private static final Pattern FORM = Pattern.compile("([^()]+)\\(([^()]*)\\)");

        static Function parse(String text) {
            Matcher form = FORM.matcher(normalise(text));
            if (!form.matches()) {
                fail("DriftTest cannot read the function '" + text + "': write it as TYPE NAME(TYPE NAME, ...)");
            }
            Variable result = Variable.parse(form.group(1));
            Class<?>[] parameters = form.group(2).isEmpty() ? new Class<?>[0]
                    : Arrays.stream(form.group(2).split(",")).map(Variable::parse).map(Variable::carrier)
                            .toArray(Class<?>[]::new);
            return new Function(form.group(), result.name(), MethodType.methodType(result.carrier(), parameters));
        }
    }

    /** Everything plx.h declares. */
    private static final class Declarations {
        private static final Pattern DECLARATION = Pattern.compile("""
                \\s*(?: typedef\\ struct\\ (\\w+)\\ \\1\\ ?;
                  | typedef\\ struct\\ (?<struct>\\w+)\\ ?\\{(?<fields>[^{}]*)\\}\\ ?\\k<struct>\\ ?;
                  | enum\\ \\w+\\ ?\\{(?<constants>[^{}]*)\\}\\ ?;
                  | PLX_API\\ (?<function>[^;{}]+);
                )\\s*""", Pattern.COMMENTS);
        private static final Pattern CONSTANT_MACRO = Pattern.compile("#define (PLX_\\w+) +\\S.*");
        private static final Pattern OTHER_DIRECTIVE =
                Pattern.compile("#ifndef PLX_PLX_H|#define PLX_PLX_H|#include <\\w+\\.h>|#endif");

        final Map<String, List<Variable>> structs = new LinkedHashMap<>();
        final List<String> constants = new ArrayList<>();
        final Map<String, Function> functions = new LinkedHashMap<>();

        static Declarations read(Path header) throws IOException {
            var declared = new Declarations();
            String text = Files.readString(header)
                    .replaceAll("(?s)/\\*.*?\\*/", " ").replaceAll("//.*", " ")
                    // The two conditional blocks that declare nothing: extern "C", and PLX_API's own definition.
                    .replaceAll("#ifdef __cplusplus\n(extern \"C\" \\{|})\n#endif", " ")
                    .replaceAll("#if defined\\(__GNUC__\\)\n#define PLX_API .*\n#else\n#define PLX_API\n#endif", " ");
            Map<Boolean, List<String>> lines = text.lines().map(String::strip)
                    .collect(partitioningBy(line -> line.startsWith("#")));
            lines.get(true).forEach(declared::addDirective);
            declared.addDeclarations(lines.get(false).stream().collect(joining(" ")).replaceAll("\\s+", " "));
            return declared;
        }

        Variable field(String structAndName) {
            String[] part = structAndName.split("\\.");
            return structs.get(part[0]).stream().filter(field -> field.name().equals(part[1])).findAny().orElseThrow();
        }

        private void addDirective(String line) {
            Matcher macro = CONSTANT_MACRO.matcher(line);
            if (macro.matches()) {
                constants.add(macro.group(1));
            } else if (!OTHER_DIRECTIVE.matcher(line).matches()) {
                fail("DriftTest cannot read the directive '" + line + "' of plx.h");
            }
        }

        private void addDeclarations(String text) {
            Matcher next = DECLARATION.matcher(text);
            while (next.regionStart() < text.length()) {
                if (!next.lookingAt()) {
                    fail("DriftTest cannot read plx.h from here on: "
                            + text.substring(next.regionStart(), Math.min(next.regionStart() + 120, text.length())));
                }
                if (next.group("struct") != null) {
                    structs.put(next.group("struct"), Arrays.stream(next.group("fields").split(";"))
                            .filter(field -> !field.isBlank()).map(Variable::parse).toList());
                } else if (next.group("constants") != null) {
                    Arrays.stream(next.group("constants").split(",")).filter(constant -> !constant.isBlank())
                            .map(constant -> constant.split("=")[0].strip()).forEach(constants::add);
                } else if (next.group("function") != null) {
                    Function function = Function.parse(next.group("function"));
                    functions.put(function.name(), function);
                }
                next.region(next.end(), text.length());
            }
        }
    }

    private static Path path(String property) {
        String value = System.getProperty(property);
        if (value == null || !Files.isRegularFile(Path.of(value))) {
            throw new IllegalStateException("-D" + property + " must name a file, and is " + value);
        }
        return Path.of(value).toAbsolutePath();
    }
}
