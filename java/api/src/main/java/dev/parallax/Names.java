package dev.parallax;

import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/** Inputs and outputs by name. */
final class Names {
    private Names() {}

    /** The index of a value by its name, without allocation; INVALID_ARGUMENT, listing the names there are. */
    static int find(List<ValueInfo> values, String name, String what) {
        for (int i = 0; i < values.size(); i++) {
            if (values.get(i).name().equals(name)) {
                return i;
            }
        }
        String known = values.stream().map(ValueInfo::name).collect(Collectors.joining(", "));
        throw new ParallaxException(ErrorCode.INVALID_ARGUMENT, "the model has no " + what + " named '" + name + "'"
                + (values.isEmpty() ? "; it has none at all" : "; its " + what + "s are: " + known));
    }

    /** That each input is given, and nothing else; INVALID_ARGUMENT. */
    static void checkGiven(List<ValueInfo> inputs, Map<String, ? extends Value> given) {
        for (String name : given.keySet()) {
            find(inputs, name, "input");
        }
        for (ValueInfo input : inputs) {
            if (given.get(input.name()) == null) {
                throw new ParallaxException(ErrorCode.INVALID_ARGUMENT, "no value is given for input " + input);
            }
        }
    }
}
