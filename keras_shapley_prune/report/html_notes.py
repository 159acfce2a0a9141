"""What the numbers on the page mean, and how each was measured."""

import html


def render_notes(comparison):
    """Returns the section of how things were counted.

    Args:
        comparison: A `Comparison`.
    """
    notes = []
    if comparison.metrics:
        notes.append(
            "Metrics: those that the original is compiled with, or its accuracy."
        )
    if comparison.agreement is not None:
        notes.append(
            "Agreement: of the pruned model with the original, labels aside. On the "
            "examples that it was repaired on, it is higher than on others."
        )
    if None not in comparison.flops:
        notes.append("FLOPs: two for each multiplication and addition, of one example.")
    if comparison.runtime is not None and not comparison.runtime.unknown:
        notes.append(_describe_runtime(comparison.runtime))
    if comparison.latency:
        found = comparison.environment
        notes.append(
            "Latency: the median of paired runs, the two models taking turns, on "
            f"{html.escape(str(found.get('machine')))} ({found.get('cores')} cores), "
            f"TensorFlow {html.escape(str(found.get('tensorflow')))}, "
            f"Keras {html.escape(str(found.get('keras')))}."
        )
    if comparison.file_size is not None:
        notes.append("File size: the <code>.keras</code> file, without the optimizer.")
    if comparison.activations is not None:
        notes.append(
            "Activations: the largest sum of tensors that are alive at once as the "
            "layers run one after the other, of one example; counted, not measured."
        )
    if not notes:
        return ""
    items = "".join(f"<li>{note}</li>" for note in notes)
    return (
        "<section><h2>How it was counted</h2>"
        f'<ul class="notes soft">{items}</ul></section>\n'
    )


def _describe_runtime(found):
    """Returns the note about where the models will run."""
    name, description = html.escape(found.name), html.escape(found.description)
    if found.num_runs < 2:
        return f"{name}: timed by {description}."
    return (
        f"{name}: the median of {found.num_runs} paired runs, the two models taking "
        f"turns, on {description}."
    )
