"""Quality beside other methods: cases, scores, rows, tables, gates, plots."""
