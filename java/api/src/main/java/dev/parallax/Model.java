package dev.parallax;

import dev.parallax.internal.bindings.Plx;
import dev.parallax.internal.bindings.plx_model_options;
import dev.parallax.internal.bindings.plx_plan_options;
import dev.parallax.internal.bindings.plx_session_options;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.ref.Reference;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.BiFunction;
import java.util.function.UnaryOperator;

/**
 * A loaded ONNX model: what it takes and gives, how it can be cut, and sessions that run it.
 *
 * <p><b>Lifetime</b>: until {@link #close()}, which is idempotent and waits for calls in progress, {@link #run(Map)}
 * among them. Sessions made from it stay usable and keep its weights; plans stay readable. It outlives its {@link
 * Engine}.
 *
 * <p><b>Threads</b>: any number.
 *
 * <p><b>Example</b>
 * <pre>{@code
 * try (Model model = engine.load(path); Session session = model.session()) {
 *     model.inputs().forEach(System.out::println);  // x: float32[batch,384]
 *     session.input("x", 1, 384).copyFrom(values);
 *     session.run();
 * }
 * }</pre>
 */
public final class Model implements AutoCloseable {
    private final Handle handle;
    private final EngineInfo engine;
    private final ModelInfo info;
    private final ModelMemory memory;  // null for a model from a file
    private final Set<PlanHandle> planHandles = ConcurrentHashMap.newKeySet();
    private final Map<PlanOptions, Plan> plans = new ConcurrentHashMap<>();
    private final Deque<Session> idle = new ArrayDeque<>();  // for run(Map); its own lock

    private Model(Handle handle, EngineInfo engine, ModelInfo info, ModelMemory memory) {
        this.handle = handle;
        this.engine = engine;
        this.info = info;
        this.memory = memory;
    }

    /** The one call that differs between the sources of a model. */
    interface Loader {
        MemorySegment load(Arena arena, MemorySegment options, MemorySegment out);
    }

    static Model load(EngineInfo engine, ModelMemory memory, ModelOptions options, Loader loader) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment out = arena.allocate(ValueLayout.ADDRESS);
            Native.check(loader.load(arena, toStruct(arena, options), out));
            Handle handle = new Handle("model", out.get(ValueLayout.ADDRESS, 0), Plx::plx_model_release);
            try {
                ModelInfo info = handle.call(
                        p -> Parsing.modelInfo(Native.text(arena, text -> Plx.plx_model_info_json(p, text))));
                return new Model(handle, engine, info, memory);
            } catch (RuntimeException | Error e) {
                handle.close();
                throw e;
            }
        }
    }

    /**
     * What must be given, in the file's order; inputs that have a default in the file are not among them.
     *
     * @return the inputs; may be asked after {@link #close()}
     */
    public List<ValueInfo> inputs() {
        return info.inputs();
    }

    /**
     * What a run gives, in the file's order.
     *
     * @return the outputs; may be asked after {@link #close()}
     */
    public List<ValueInfo> outputs() {
        return info.outputs();
    }

    /**
     * What the file says about itself.
     *
     * @return name, versions and sizes; may be asked after {@link #close()}
     */
    public ModelInfo info() {
        return info;
    }

    // ---- plans ----------------------------------------------------------------------------------------------------

    /**
     * Cuts the model.
     *
     * @param options how
     * @return a checked plan; the same options give the same plan without new work
     * @throws ParallaxException INVALID_ARGUMENT for an unknown input or device, UNSUPPORTED or INVALID_MODEL if shapes
     *     cannot be had
     */
    public Plan plan(PlanOptions options) {
        for (Map.Entry<String, List<Long>> shape : options.shapes().entrySet()) {
            ValueInfo input = info.inputs().get(Names.find(info.inputs(), shape.getKey(), "input"));
            long[] sizes = shape.getValue().stream().mapToLong(Long::longValue).toArray();
            if (!input.accepts(sizes)) {
                throw new ParallaxException(ErrorCode.INVALID_ARGUMENT, "shape " + Tensor.shapeText(sizes)
                        + " does not fit input " + input);
            }
        }
        return handle.call(p -> {
            Plan known = plans.get(options);
            if (known != null) {
                return known;
            }
            checkMemory();
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment struct = toStruct(arena, options);
                MemorySegment out = arena.allocate(ValueLayout.ADDRESS);
                Native.check(Plx.plx_plan_make(p, struct, out));
                Plan made = adopt(out.get(ValueLayout.ADDRESS, 0), !options.device().isEmpty());
                Plan first = plans.putIfAbsent(options, made);
                return first == null ? made : first;
            }
        });
    }

    /**
     * Reads back what {@link Plan#toJson()} gave.
     *
     * @param json a plan of this very model
     * @return the plan, checked anew
     * @throws ParallaxException INVALID_PLAN for one of another model, or one that the validator refuses
     */
    public Plan readPlan(String json) {
        return handle.call(p -> {
            checkMemory();
            try (Arena arena = Arena.ofConfined()) {
                return adopt(parse(arena, p, json), true);
            }
        });
    }

    private static MemorySegment parse(Arena arena, MemorySegment model, String json) {
        MemorySegment text = arena.allocateFrom(json);
        MemorySegment out = arena.allocate(ValueLayout.ADDRESS);
        Native.check(Plx.plx_plan_from_json(model, text, text.byteSize() - 1, out));  // less the NUL
        return out.get(ValueLayout.ADDRESS, 0);
    }

    private Plan adopt(MemorySegment pointer, boolean mayHaveRegions) {
        PlanHandle planHandle = PlanHandle.of(planHandles, pointer);
        Plan plan = new Plan(planHandle, Math.toIntExact(Plx.plx_plan_unit_count(pointer)), mayHaveRegions);
        planHandle.follow(plan);
        return plan;
    }

    // ---- sessions -------------------------------------------------------------------------------------------------

    /**
     * A session over the whole graph as one unit, on the engine's threads.
     *
     * @return a new session
     * @throws ParallaxException UNSUPPORTED, INVALID_MODEL or MEMORY_BUDGET if it cannot be compiled
     */
    public Session session() {
        return session(SessionOptions.DEFAULT);
    }

    /**
     * A session as asked for: cheap to repeat, since sessions of a model share weights and plans.
     *
     * @param options how to make it
     * @return a new session
     * @throws ParallaxException INVALID_PLAN if the plan is another model's or the policy's schedule is refused;
     *     UNSUPPORTED, INVALID_MODEL or MEMORY_BUDGET if it cannot be compiled
     */
    public Session session(SessionOptions options) {
        Plan plan = options.plan() != null ? options.plan() : plan(options.planOptions());
        int pool = options.threads() == 0 ? engine.threads() : options.threads();
        // Outside the handle: a policy is the user's code and may do as it likes, even close this model.
        DeviceState state = DeviceState.current(pool, options.fixedBudgetBytes());
        Schedule schedule = Schedule.ask(options.policy(), plan, state);
        Session.Steering steering = new Session.Steering(options.policy(), state);
        return handle.call(p -> {
            checkMemory();
            try (Arena arena = Arena.ofConfined()) {
                PlanHandle own = plan.handle();
                boolean ours = own != null && own.belongsTo(planHandles);
                MemorySegment planPointer = ours ? own.pointer() : parse(arena, p, plan.toJson());
                MemorySegment session;
                try {
                    session = create(arena, p, planPointer, options, schedule);
                } finally {
                    Reference.reachabilityFence(plan);
                    if (!ours) {
                        Plx.plx_plan_release(planPointer);  // the session keeps what it needs of it
                    }
                }
                try {
                    return new Session(session, info, plan, schedule, steering, memory, options.depth());
                } catch (RuntimeException | Error e) {
                    Plx.plx_session_release(session);
                    throw e;
                }
            }
        });
    }

    private static MemorySegment create(Arena arena, MemorySegment model, MemorySegment plan, SessionOptions options,
            Schedule schedule) {
        MemorySegment struct = plx_session_options.allocate(arena);
        plx_session_options.struct_size(struct, plx_session_options.sizeof());
        plx_session_options.threads(struct, options.threads());
        MemorySegment block = schedule.toBlock(arena);
        plx_session_options.schedule(struct, block);
        plx_session_options.schedule_bytes(struct, block.byteSize());
        plx_session_options.shapes_kept(struct, options.shapesKept());
        plx_session_options.memory_budget_bytes(struct, options.fixedBudgetBytes());
        plx_session_options.memory_margin(struct,
                options.memoryBudget() instanceof MemoryBudget.Adaptive adaptive ? adaptive.margin() : 0);
        MemorySegment out = arena.allocate(ValueLayout.ADDRESS);
        Native.check(Plx.plx_session_create(model, plan, struct, out));
        return out.get(ValueLayout.ADDRESS, 0);
    }

    /**
     * Runs once, with the whole graph as one unit: short, safe from any number of threads at once, and meant for
     * convenience, since results are copied. Sessions are kept for the next call, as many as ever ran at once but no
     * more than there are cores.
     *
     * @param inputs a value for each of {@link #inputs()}, by name
     * @return a tensor for each of {@link #outputs()}, by name and in their order, with memory of its own
     * @throws ParallaxException INVALID_ARGUMENT for missing, unknown or unfitting inputs; UNSUPPORTED for an output
     *     that is no tensor, see {@link #runValues}; RUN_FAILED, which is a {@link RunStoppedException}
     *     if the thread is interrupted
     */
    public Map<String, Tensor> run(Map<String, ? extends Value> inputs) {
        return run(inputs, Session::output, Tensor::copy);
    }

    /**
     * As {@link #run(Map)}, for models whose outputs are not all tensors.
     *
     * @param inputs a value for each of {@link #inputs()}, by name
     * @return a value for each of {@link #outputs()}, by name and in their order, with memory of its own
     * @throws ParallaxException INVALID_ARGUMENT for missing, unknown or unfitting inputs; RUN_FAILED, as for
     *     {@link #run(Map)}
     */
    public Map<String, Value> runValues(Map<String, ? extends Value> inputs) {
        return run(inputs, Session::outputValue, value -> value instanceof Tensor ? value.copy() : value);
    }

    private <V extends Value> Map<String, V> run(Map<String, ? extends Value> inputs,
            BiFunction<Session, String, V> read, UnaryOperator<V> own) {
        Names.checkGiven(info.inputs(), inputs);
        return handle.call(p -> {
            Session session = borrow();
            try {
                inputs.forEach(session::bindInput);
                session.run();
                Map<String, V> results = new LinkedHashMap<>();
                for (ValueInfo output : info.outputs()) {
                    results.put(output.name(), own.apply(read.apply(session, output.name())));
                }
                return Collections.unmodifiableMap(results);
            } finally {
                giveBack(session);
            }
        });
    }

    private Session borrow() {
        synchronized (idle) {
            if (!idle.isEmpty()) {
                return idle.pop();
            }
        }
        return session();
    }

    private void giveBack(Session session) {
        session.forgetInputs();  // or the last caller's tensors would live until the next call
        synchronized (idle) {
            if (idle.size() < Runtime.getRuntime().availableProcessors()) {
                idle.push(session);
                return;
            }
        }
        session.close();
    }

    /** Gives the model up; idempotent. Sessions made from it stay usable. */
    @Override
    public void close() {
        handle.close(() -> {
            // No call is in progress: nobody pops or pushes, and no plan is made or used.
            idle.forEach(Session::close);
            idle.clear();
            plans.clear();
            // Plans stay readable: the core's form of each goes with it.
            if (memory != null) {
                memory.release();
            }
        });
    }

    @Override
    public String toString() {
        return "model " + info.name() + " " + info.inputs() + " -> " + info.outputs();
    }

    // ---- option structs -------------------------------------------------------------------------------------------

    private void checkMemory() {
        if (memory != null) {
            memory.checkAlive();
        }
    }

    private static MemorySegment toStruct(Arena arena, ModelOptions options) {
        MemorySegment struct = plx_model_options.allocate(arena);
        plx_model_options.struct_size(struct, plx_model_options.sizeof());
        if (options.baseDirectory() != null) {
            plx_model_options.base_directory(struct, arena.allocateFrom(options.baseDirectory().toString()));
        }
        List<String> libraries = new ArrayList<>();
        options.customOpLibraries().forEach(path -> libraries.add(path.toString()));
        plx_model_options.custom_op_libraries(struct, strings(arena, libraries));
        plx_model_options.custom_op_library_count(struct, libraries.size());
        plx_model_options.config_keys(struct, strings(arena, List.copyOf(options.config().keySet())));
        plx_model_options.config_values(struct, strings(arena, List.copyOf(options.config().values())));
        plx_model_options.config_count(struct, options.config().size());
        plx_model_options.dimension_names(struct, strings(arena, List.copyOf(options.dimensions().keySet())));
        plx_model_options.dimension_values(struct, longs(arena, List.copyOf(options.dimensions().values())));
        plx_model_options.dimension_count(struct, options.dimensions().size());
        List<String> folders = new ArrayList<>();
        options.dataFolders().forEach(path -> folders.add(path.toString()));
        plx_model_options.data_folders(struct, strings(arena, folders));
        plx_model_options.data_folder_count(struct, folders.size());
        ModelLimits limits = options.limits();
        plx_model_options.max_model_bytes(struct, limits.maxModelBytes());
        plx_model_options.max_weight_bytes(struct, limits.maxWeightBytes());
        plx_model_options.max_constant_bytes(struct, limits.maxConstantBytes());
        plx_model_options.max_nodes(struct, limits.maxNodes());
        plx_model_options.max_depth(struct, limits.maxDepth());
        plx_model_options.prepack(struct, options.prepack().ordinal());
        if (options.cacheFolder() != null) {
            plx_model_options.cache_folder(struct, arena.allocateFrom(options.cacheFolder().toString()));
        }
        return struct;
    }

    private static MemorySegment toStruct(Arena arena, PlanOptions options) {
        MemorySegment struct = plx_plan_options.allocate(arena);
        plx_plan_options.struct_size(struct, plx_plan_options.sizeof());
        plx_plan_options.units(struct, options.units().ordinal());
        plx_plan_options.rule(struct, options.rule().ordinal());
        plx_plan_options.beta(struct, options.beta());
        plx_plan_options.min_nodes(struct, options.minNodes());
        plx_plan_options.estimate(struct, options.estimate() ? 1 : 0);
        if (!options.device().isEmpty()) {
            plx_plan_options.device(struct, arena.allocateFrom(options.device()));
        }
        plx_plan_options.offload(struct, options.offload().ordinal());
        plx_plan_options.profile(struct, options.profile().ordinal());
        if (!options.placements().isEmpty()) {
            plx_plan_options.placements(struct, arena.allocateFrom(String.join(",", options.placements())));
        }
        List<Long> ranks = new ArrayList<>();
        List<Long> sizes = new ArrayList<>();
        options.shapes().values().forEach(shape -> {
            ranks.add((long) shape.size());
            sizes.addAll(shape);
        });
        plx_plan_options.shape_names(struct, strings(arena, List.copyOf(options.shapes().keySet())));
        plx_plan_options.shape_ranks(struct, longs(arena, ranks));
        plx_plan_options.shape_dims(struct, longs(arena, sizes));
        plx_plan_options.shape_count(struct, options.shapes().size());
        return struct;
    }

    private static MemorySegment strings(Arena arena, List<String> strings) {
        MemorySegment array = arena.allocate(ValueLayout.ADDRESS, strings.size());
        for (int i = 0; i < strings.size(); i++) {
            array.setAtIndex(ValueLayout.ADDRESS, i, arena.allocateFrom(strings.get(i)));
        }
        return array;
    }

    private static MemorySegment longs(Arena arena, List<Long> values) {
        MemorySegment array = arena.allocate(ValueLayout.JAVA_LONG, values.size());
        for (int i = 0; i < values.size(); i++) {
            array.setAtIndex(ValueLayout.JAVA_LONG, i, values.get(i));
        }
        return array;
    }
}
